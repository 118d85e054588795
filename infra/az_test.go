package infra_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jmespath/go-jmespath"
)

// The test binary is the Azure CLI where it is called by that name: scripts find it on
// their PATH. It keeps a directory and a vault in a file and records what changes them.
func TestMain(m *testing.M) {
	if file := os.Getenv("INFRA_AZ_WORLD"); file != "" && filepath.Base(os.Args[0]) == "az" {
		if err := runAz(file, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "ERROR:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

type object = map[string]any

// azWorld is what the stand-in knows: one tenant and one vault of one cloud.
type azWorld struct {
	Cloud, Graph, Tenant string
	Refuse               string // a call that begins so is refused, as for lack of a role
	Applications         []object
	Principals           []object // service principals, their app roles and assignments in them
	Secrets              []object
	Certificates         []object
	VaultOpen            bool
	Serial               int
	Providers            []string // registered
	Resources            []object // clusters
	Deleted              []object // vaults
	Changes              []string // what was called that changes something, bodies included
}

func (w *azWorld) id() string {
	w.Serial++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", w.Serial)
}

// runAz does one call of the CLI.
func runAz(file string, args []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var w azWorld
	if err := json.Unmarshal(text, &w); err != nil {
		return err
	}
	var words []string
	flags := map[string][]string{}
	for i := 0; i < len(args); i++ {
		if name, ok := strings.CutPrefix(args[i], "--"); ok {
			for i+1 < len(args) && !strings.HasPrefix(args[i+1], "--") {
				i++
				flags[name] = append(flags[name], args[i])
			}
			continue
		}
		words = append(words, args[i])
	}
	flag := func(name string) string { return strings.Join(flags[name], " ") }
	verb := strings.Join(words, " ")
	if w.Refuse != "" && strings.HasPrefix(verb+" "+flag("method")+" "+flag("url"), w.Refuse) {
		return errors.New("Forbidden: Authorization_RequestDenied")
	}
	var result any
	changes := ""
	switch verb {
	case "cloud show":
		result = object{"name": w.Cloud}
	case "account show":
		result = object{"tenantId": w.Tenant}
	case "provider show":
		result = object{"registrationState": "NotRegistered"}
		if slices.Contains(w.Providers, flag("namespace")) {
			result = object{"registrationState": "Registered"}
		}
	case "resource list":
		result = append([]object{}, w.Resources...)
	case "resource show":
		i := slices.IndexFunc(w.Resources, func(r object) bool { return r["id"] == flag("ids") })
		if i < 0 {
			return errors.New("ResourceNotFound")
		}
		result = w.Resources[i]
	case "keyvault list-deleted":
		result = append([]object{}, w.Deleted...)
	case "rest":
		if flag("resource") != w.Graph || !strings.HasPrefix(flag("url"), w.Graph+"/v1.0/") {
			return fmt.Errorf("%s is no directory of the cloud %s", flag("url"), w.Cloud)
		}
		path, err := url.PathUnescape(strings.TrimPrefix(flag("url"), w.Graph+"/v1.0/"))
		if err != nil {
			return err
		}
		var body object
		if flag("method") != "GET" {
			if err := json.Unmarshal([]byte(flag("body")), &body); err != nil {
				return fmt.Errorf("body %s: %w", flag("body"), err)
			}
			changes = flag("method") + " " + path
		}
		if result, err = w.rest(flag("method"), path, body); err != nil {
			return err
		}
	default:
		if !w.VaultOpen && verb != "keyvault update" {
			return errors.New("(Forbidden) Public network access is disabled. Inner error: ForbiddenByConnection")
		}
		if result, changes, err = w.vault(verb, flag); err != nil {
			return err
		}
	}
	if changes != "" {
		w.Changes = append(w.Changes, changes)
	}
	if query := flag("query"); query != "" {
		// As the CLI's JSON has it, without Go types.
		plain, err := json.Marshal(result)
		if err != nil {
			return err
		}
		var value any
		if err := json.Unmarshal(plain, &value); err != nil {
			return err
		}
		if result, err = jmespath.Search(query, value); err != nil {
			return fmt.Errorf("--query %s: %w", query, err)
		}
	}
	switch flag("output") {
	case "tsv":
		printTSV(result)
	case "json":
		out, _ := json.MarshalIndent(result, "", "  ")
		fmt.Println(string(out))
	}
	out, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return os.WriteFile(file, out, 0o600)
}

// printTSV prints as the CLI does: nothing for null, a list a line each, null in it as None.
func printTSV(v any) {
	switch v := v.(type) {
	case nil:
	case []any:
		for _, item := range v {
			if item == nil {
				item = "None"
			}
			fmt.Println(item)
		}
	default:
		fmt.Println(v)
	}
}

var filterBy = regexp.MustCompile(`^(\w+)\?\$filter=(\w+) eq '([^']*)'`)

// rest is Microsoft Graph, as far as scripts call it.
func (w *azWorld) rest(method, path string, body object) (any, error) {
	if m := filterBy.FindStringSubmatch(path); m != nil && method == "GET" {
		list := w.Applications
		if m[1] == "servicePrincipals" {
			list = w.Principals
		}
		found := []object{}
		for _, o := range list {
			if o[m[2]] == m[3] {
				found = append(found, o)
			}
		}
		return object{"value": found}, nil
	}
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	switch {
	case method == "POST" && path == "applications":
		o := object{"id": w.id(), "appId": w.id(), "passwordCredentials": []any{}, "keyCredentials": []any{}, "federated": []any{}}
		for k, v := range body {
			o[k] = v
		}
		w.Applications = append(w.Applications, o)
		return o, nil
	case method == "POST" && path == "servicePrincipals":
		for _, p := range w.Principals {
			if p["appId"] == body["appId"] {
				return nil, errors.New("Conflict: the service principal exists already")
			}
		}
		o := object{"id": w.id(), "appId": body["appId"], "appRoles": []any{}, "assignments": []any{}}
		w.Principals = append(w.Principals, o)
		return o, nil
	}
	list := w.Applications
	if parts[0] == "servicePrincipals" {
		list = w.Principals
	}
	i := slices.IndexFunc(list, func(o object) bool { return len(parts) > 1 && o["id"] == parts[1] })
	if i < 0 {
		return nil, fmt.Errorf("Not Found: %s %s", method, path)
	}
	o := list[i]
	add := func(key string, v object) object {
		items, _ := o[key].([]any)
		o[key] = append(items, v)
		return v
	}
	switch method + " " + strings.Join(parts[2:], "/") {
	case "GET ":
		return o, nil
	case "PATCH ":
		for k, v := range body {
			o[k] = v
		}
		return nil, nil
	case "GET appRoleAssignments":
		return object{"value": o["assignments"]}, nil
	case "POST appRoleAssignments":
		return w.assign(o, body, add)
	case "GET federatedIdentityCredentials":
		return object{"value": o["federated"]}, nil
	case "POST federatedIdentityCredentials":
		body["id"] = w.id()
		return add("federated", body), nil
	case "POST addPassword":
		given := body["passwordCredential"].(map[string]any)
		given["keyId"] = w.id()
		add("passwordCredentials", given)
		return object{"keyId": given["keyId"], "secretText": "SECRET~" + fmt.Sprint(given["keyId"])}, nil
	case "POST removePassword":
		items := o["passwordCredentials"].([]any)
		o["passwordCredentials"] = slices.DeleteFunc(items, func(p any) bool { return p.(map[string]any)["keyId"] == body["keyId"] })
		if len(o["passwordCredentials"].([]any)) == len(items) {
			return nil, errors.New("no such password")
		}
		return nil, nil
	}
	return nil, fmt.Errorf("%s %s: unknown to this stand-in", method, path)
}

// assign gives an app role: one of the resource's own, for applications, and once.
func (w *azWorld) assign(to, body object, add func(string, object) object) (any, error) {
	if body["principalId"] != to["id"] {
		return nil, errors.New("Bad Request: principalId is another")
	}
	for _, a := range to["assignments"].([]any) {
		if a := a.(map[string]any); a["appRoleId"] == body["appRoleId"] && a["resourceId"] == body["resourceId"] {
			return nil, errors.New("Bad Request: Permission being assigned already exists on the object")
		}
	}
	for _, p := range w.Principals {
		for _, r := range p["appRoles"].([]any) {
			role := r.(map[string]any)
			if p["id"] == body["resourceId"] && role["id"] == body["appRoleId"] && slices.Contains(role["allowedMemberTypes"].([]any), any("Application")) {
				body["id"] = w.id()
				return add("assignments", body), nil
			}
		}
	}
	return nil, fmt.Errorf("Bad Request: %v is no app role of %v", body["appRoleId"], body["resourceId"])
}

// vault is `az keyvault`.
func (w *azWorld) vault(verb string, flag func(string) string) (result any, changes string, err error) {
	byName := func(list []object, name string) int {
		return slices.IndexFunc(list, func(o object) bool { return o["name"] == name })
	}
	switch verb {
	case "keyvault update":
		w.VaultOpen = flag("public-network-access") == "Enabled"
		return nil, verb + " " + flag("public-network-access") + " " + flag("default-action"), nil
	case "keyvault secret list":
		return append([]object{}, w.Secrets...), "", nil
	case "keyvault secret set":
		value, err := os.ReadFile(flag("file"))
		if err != nil {
			return nil, "", err
		}
		if info, _ := os.Stat(flag("file")); info.Mode().Perm()&0o077 != 0 {
			return nil, "", fmt.Errorf("%s can be read by others", flag("file"))
		}
		tags := object{}
		for _, tag := range strings.Fields(flag("tags")) {
			k, v, _ := strings.Cut(tag, "=")
			tags[k] = v
		}
		o := object{"name": flag("name"), "value": string(value), "tags": tags, "attributes": object{"expires": strings.Replace(flag("expires"), "Z", "+00:00", 1)}}
		if i := byName(w.Secrets, flag("name")); i >= 0 {
			w.Secrets[i] = o
		} else {
			w.Secrets = append(w.Secrets, o)
		}
		return o, verb + " " + flag("name"), nil
	case "keyvault certificate list":
		return append([]object{}, w.Certificates...), "", nil
	case "keyvault certificate show":
		if i := byName(w.Certificates, flag("name")); i >= 0 {
			return w.Certificates[i], "", nil
		}
		return nil, "", errors.New("CertificateNotFound")
	case "keyvault certificate create":
		var policy struct {
			KeyProperties   struct{ Exportable bool }
			LifetimeActions []struct{ Action struct{ ActionType string } }
		}
		if err := json.Unmarshal([]byte(flag("policy")), &policy); err != nil {
			return nil, "", err
		}
		if !policy.KeyProperties.Exportable || len(policy.LifetimeActions) != 1 || policy.LifetimeActions[0].Action.ActionType != "EmailContacts" {
			return nil, "", fmt.Errorf("a certificate that the handler cannot read, or that renews itself: %s", flag("policy"))
		}
		o := object{"name": flag("name"), "id": w.id(), "cer": base64.StdEncoding.EncodeToString([]byte("certificate " + w.id()))}
		if i := byName(w.Certificates, flag("name")); i >= 0 {
			w.Certificates[i] = o
		} else {
			w.Certificates = append(w.Certificates, o)
		}
		return o, verb + " " + flag("name"), nil
	}
	return nil, "", fmt.Errorf("%s: unknown to this stand-in", verb)
}
