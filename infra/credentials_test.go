package infra_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
)

func TestPermissions_RotateAndRetire(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	w := newWorld(t, 0)
	w.permissions("grant", "--vault", "kv")
	before := w.load()
	client := before.Applications[0]["appId"].(string)
	w.permissions("rotate", "--vault", "kv", "--client-id", client)
	rotated := w.load()
	if rotated.Secrets[0]["value"] == before.Secrets[0]["value"] || len(rotated.Applications[0]["passwordCredentials"].([]any)) != 2 {
		t.Errorf("rotate: %v", rotated.Changes)
	}
	w.permissions("retire", "--vault", "kv", "--client-id", client)
	left := w.load().Applications[0]["passwordCredentials"].([]any)
	if len(left) != 1 || !strings.HasSuffix(rotated.Secrets[0]["value"].(string), left[0].(map[string]any)["keyId"].(string)) {
		t.Errorf("retire left %v", left)
	}
	w.permissions("grant", "--vault", "kv", "--credential", "certificate")
	w.permissions("rotate", "--vault", "kv", "--credential", "certificate")
	if keys := w.load().Applications[0]["keyCredentials"].([]any); len(keys) != 2 {
		t.Errorf("after rotating the application accepts %v, want the old certificate and the new one", keys)
	}
	w.change(func(a *azWorld) {
		keys := a.Applications[0]["keyCredentials"].([]any)
		a.Applications[0]["keyCredentials"] = append(keys, map[string]any{"displayName": "another", "key": "eA=="})
	})
	w.permissions("grant", "--vault", "kv", "--secret-name", "mine")
	if a := w.load(); len(a.Secrets) != 2 || a.Secrets[1]["name"] != "mine" {
		t.Errorf("stored %v, want a secret of the given name", a.Secrets)
	}
	for range 2 {
		w.permissions("retire", "--vault", "kv", "--credential", "certificate")
		a := w.load()
		keys := a.Applications[0]["keyCredentials"].([]any)
		if len(keys) != 2 || keys[0].(map[string]any)["key"] != a.Certificates[0]["cer"] || keys[1].(map[string]any)["displayName"] != "another" {
			t.Errorf("after retiring the application accepts %v, want the newest certificate and the other program's", keys)
		}
	}
	w.change(func(a *azWorld) {
		a.Applications[0]["keyCredentials"] = []any{map[string]any{"displayName": "Defender2ADX", "key": "b2xk"}}
	})
	if out, err := w.script("permissions.sh", nil, "retire", "--vault", "kv", "--credential", "certificate"); err == nil || !strings.Contains(out, "nothing was removed") {
		t.Errorf("the only certificate that works would be removed: %v\n%s", err, out)
	}
}

// Defender is in another cloud than the vault: the directory is reached by a second login.
func TestPermissions_SecondLogin(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	for _, kind := range []string{"secret", "certificate"} {
		here, there := newWorld(t, 0), newWorld(t, 2)
		folder := filepath.Dir(there.file) // where a second login of the CLI is kept
		args := []string{"grant", "--credential", kind, "--cloud", "gcc-high", "--vault", "kv"}
		if out, err := here.script("permissions.sh", nil, args...); err == nil || !strings.Contains(out, "--directory-login") {
			t.Errorf("with one login: %v\n%s", err, out)
		}
		here.permissions(append(args, "--directory-login", folder)...)
		vault, directory := here.load(), there.load()
		if len(vault.Applications) != 0 || len(vault.Secrets)+len(vault.Certificates) != 1 || len(directory.Applications) != 1 || len(directory.Secrets)+len(directory.Certificates) != 0 {
			t.Errorf("%s: the vault's tenant %v, the directory's %v", kind, vault.Changes, directory.Changes)
		}
		here.permissions("rotate", "--credential", kind, "--cloud", "gcc-high", "--vault", "kv", "--directory-login", folder)
		here.permissions("retire", "--credential", kind, "--cloud", "gcc-high", "--vault", "kv", "--directory-login", folder)
		left := there.load().Applications[0]
		if n := len(left["passwordCredentials"].([]any)) + len(left["keyCredentials"].([]any)); n != 1 {
			t.Errorf("%s: the application has %d credentials, want the newest", kind, n)
		}
	}
}

// A secret that ends within a month, or is another application's, is made anew by grant.
func TestPermissions_GrantRenews(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	for name, edit := range map[string]func(*azWorld){
		"ends soon": func(a *azWorld) {
			a.Secrets[0]["attributes"] = object{"expires": time.Now().AddDate(0, 0, 20).UTC().Format("2006-01-02T15:04:05+00:00")}
		},
		"another's": func(a *azWorld) { a.Secrets[0]["tags"] = object{"application": "other"} },
	} {
		w := newWorld(t, 0)
		w.permissions("grant", "--vault", "kv")
		w.change(edit)
		w.permissions("grant", "--vault", "kv")
		if n := len(w.load().Applications[0]["passwordCredentials"].([]any)); n != 2 {
			t.Errorf("%s: the application has %d secrets, want a new one", name, n)
		}
	}
}

func TestPermissions_ClosedVault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.change(func(a *azWorld) { a.VaultOpen = false })
	if out, err := w.script("permissions.sh", nil, "grant", "--vault", "kv"); err == nil || !strings.Contains(out, "--open-vault") {
		t.Errorf("%v\n%s", err, out)
	}
	w.permissions("grant", "--vault", "kv", "--open-vault")
	if a := w.load(); a.VaultOpen || len(a.Secrets) != 1 {
		t.Errorf("open %v, secrets %v", a.VaultOpen, a.Secrets)
	}
	w.change(func(a *azWorld) { a.Refuse = "keyvault secret set" })
	if out, err := w.script("permissions.sh", nil, "rotate", "--vault", "kv", "--open-vault"); err == nil || w.load().VaultOpen {
		t.Errorf("after a failure the vault is open: %v\n%s", err, out)
	}
	w.change(func(a *azWorld) { a.Refuse, a.VaultOpen = "", true })
	if w.permissions("rotate", "--vault", "kv", "--open-vault"); !w.load().VaultOpen {
		t.Error("a vault that was open is closed")
	}
}

// Secrets of other programs in the same application are theirs.
func TestPermissions_RetireLeavesOthersSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.permissions("grant", "--vault", "kv")
	w.permissions("rotate", "--vault", "kv")
	w.change(func(a *azWorld) {
		old, _ := a.Applications[0]["passwordCredentials"].([]any)
		a.Applications[0]["passwordCredentials"] = append(old, map[string]any{"keyId": "of-another-program", "displayName": "another"})
	})
	out := w.permissions("retire", "--vault", "kv")
	left, _ := w.load().Applications[0]["passwordCredentials"].([]any)
	if len(left) != 2 || strings.Contains(out, "of-another-program") || strings.Count(out, "removed") != 1 {
		t.Errorf("left %v\n%s", left, out)
	}
}
