package msticpy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/defender2adx/defender2adx/internal/cloud"
	"github.com/defender2adx/defender2adx/internal/config"
)

// Options say what the file does not.
type Options struct {
	Path   string              // of the file, for the commands that are printed
	Vault  string              // name or URL of the Key Vault; "" is the file's own
	Getenv func(string) string // of the variables that the file names
}

// Line is a setting, or what a person does beside the settings.
type Line struct {
	Section string `json:"section,omitempty"` // of the file; "" is for all of them
	Setting string `json:"setting,omitempty"`
	Value   string `json:"value,omitempty"`
	Note    string `json:"note,omitempty"` // in the place of both
}

// writer collects the settings of one section.
type writer struct {
	lines    []Line
	o        Options
	vault    string // name of the vault of all; "" when none is known
	suffix   string // of the addresses of vaults
	section  Section
	name     string // of the instance; "" is the default one
	problems []error
}

// Write prints our settings for the file as Lines gives them: NAME=value, and after #
// what is for a person.
func Write(out io.Writer, f File, o Options) error {
	lines, err := Lines(f, o)
	fmt.Fprintf(out, "# Settings for the connections of %s. Lines that begin with # are for you;\n# the others are app settings, or lines for local.settings.json.\n", o.Path)
	section := ""
	for _, l := range lines {
		if l.Section != section {
			section = l.Section
			fmt.Fprintln(out)
			if section != "" {
				fmt.Fprintln(out, "#", section)
			}
		}
		if l.Setting == "" {
			fmt.Fprintln(out, "#", l.Note)
			continue
		}
		fmt.Fprintf(out, "%s=%s\n", l.Setting, l.Value)
	}
	return err
}

// Lines gives our settings for the file, and notes of what a person does beside them.
// No secret is in them; the commands that store secrets read them where they are. The
// error is for what the settings need and the file does not say.
func Lines(f File, o Options) (lines []Line, err error) {
	vault, suffix := cmp.Or(o.Vault, f.Vault), f.vaultSuffix()
	names, errs := instances(f.Sections)
	var list []string
	for _, s := range f.Sections {
		if name := names[s.Name]; name != "" {
			list = append(list, name)
		}
	}
	if len(list) > 0 {
		lines = append(lines, Line{Setting: "DEFENDER_INSTANCES", Value: strings.Join(list, ",")})
	}
	needsVault := false
	for _, s := range f.Sections {
		w := &writer{o: o, vault: vault, suffix: suffix, section: s, name: names[s.Name]}
		w.write()
		lines = append(lines, w.lines...)
		for _, v := range s.Values {
			needsVault = needsVault || v.InVault && v.Vault == "" || v.InFile
		}
		needsVault = needsVault || w.stores()
		for _, err := range w.problems {
			errs = append(errs, fmt.Errorf("section %s: %w", s.Name, err))
		}
	}
	switch {
	case vault != "":
		lines = append(lines, Line{Setting: "KEY_VAULT_URL", Value: vaultURL(vault, suffix)})
	case needsVault:
		errs = append(errs, errors.New("secrets go into a Key Vault, and the file names none under KeyVault: VaultName: give --vault"))
	}
	return lines, errors.Join(errs...)
}

// instances gives each section the name of an instance: letters and digits of its own.
func instances(sections []Section) (map[string]string, []error) {
	names, used := map[string]string{}, map[string]bool{}
	var errs []error
	for _, s := range sections {
		if s.Instance == "" {
			continue
		}
		plain := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
				return r
			}
			return -1
		}, s.Instance)
		plain = plain[:min(len(plain), 20)]
		if config.CheckInstanceName(plain) != nil {
			plain = "Tenant" + plain[:min(len(plain), 14)]
		}
		name := plain
		for n := 2; used[strings.ToUpper(name)]; n++ {
			name = fmt.Sprint(plain, n)
		}
		if err := config.CheckInstanceName(name); err != nil {
			errs = append(errs, fmt.Errorf("section %s: %w", s.Name, err))
		}
		names[s.Name], used[strings.ToUpper(name)] = name, true
	}
	return names, errs
}

func (w *writer) write() {
	if w.name != w.section.Instance {
		w.say("is called %s: names of instances are letters and digits", w.name)
	}
	for _, key := range w.section.Unknown {
		w.say("%s is not read", key)
	}
	if w.name != "" {
		// Raw tables of one name would be those of another tenant.
		prefix := w.name + "_"
		if prefix[0] <= '9' {
			prefix = "T" + prefix
		}
		w.set("TABLE_PREFIX", prefix)
	}
	w.plain("TENANT_ID", "TenantId", true)
	w.plain("CLIENT_ID", "ClientId", true)
	w.set("CLOUD", "global", "Cloud")
	w.credential()
}

// credential prints one way to sign in: that of the keys which are there.
func (w *writer) credential() {
	has := func(key string) bool { return !w.section.Values[key].IsZero() }
	switch {
	case has("ClientSecret"):
		w.set("CREDENTIAL", "secret")
		w.stored("SECRET_NAME", "", "ClientSecret", "client-secret")
		if has("UserName") || has("Certificate") {
			w.say("UserName and Certificate are left out: the client secret is there")
		}
	case has("Certificate"):
		w.set("CREDENTIAL", "certificate")
		w.stored("CLIENT_CERTIFICATE", inVault, "Certificate", "client-certificate")
		if has("PrivateKey") {
			w.stored("CLIENT_CERTIFICATE_KEY", inVault, "PrivateKey", "client-certificate-key")
		}
		if has("PrivateKeySecret") {
			w.stored("CLIENT_CERTIFICATE_PASSWORD", inVault, "PrivateKeySecret", "client-certificate-password")
		}
	case has("UserName"):
		w.say("signs in as a person, by `handler signin` at a terminal: the Functions host cannot, and copies nothing through this instance")
		w.set("CREDENTIAL", "browser")
		w.plain("USERNAME", "UserName", false)
		w.tokenCache()
		return
	default:
		w.problems = append(w.problems, errors.New("want ClientSecret, Certificate or UserName"))
	}
	if has("TokenCachePath") {
		w.say("TokenCachePath is left out: only a person's sign-in is kept between two starts")
	}
}

// inVault begins the value of a setting that is the name of a vault's secret.
const inVault = "KeyVault:"

func (w *writer) say(format string, args ...any) {
	w.lines = append(w.lines, Line{Section: w.section.Name, Note: fmt.Sprintf(format, args...)})
}

// add takes a setting by its whole name.
func (w *writer) add(name, value string) {
	w.lines = append(w.lines, Line{Section: w.section.Name, Setting: name, Value: value})
}

func (w *writer) setting(suffix string) string {
	if w.name == "" {
		return "DEFENDER_" + suffix
	}
	return "DEFENDER_" + strings.ToUpper(w.name) + "_" + suffix
}

// set prints a setting; where the section gives one of the keys, with its value.
func (w *writer) set(suffix, value string, keys ...string) {
	for _, key := range keys {
		if !w.section.Values[key].IsZero() {
			w.plain(suffix, key, false)
			return
		}
	}
	w.add(w.setting(suffix), value)
}

// plain prints the setting of a key that is no secret.
func (w *writer) plain(suffix, key string, needed bool) {
	v := w.section.Values[key]
	switch {
	case v.Text != "":
		w.set(suffix, v.Text)
	case v.Variable != "":
		if text := w.o.Getenv(v.Variable); text != "" {
			w.set(suffix, text)
			return
		}
		w.problems = append(w.problems, fmt.Errorf("%s: the variable %s is not set here", key, v.Variable))
	case v.InVault:
		vault := vaultName(cmp.Or(v.Vault, w.vault))
		w.say("%s is resolved by the platform; elsewhere: az keyvault secret show --vault-name %s --name %s --query value --output tsv", key, vault, v.Secret)
		w.set(suffix, "@Microsoft.KeyVault(VaultName="+vault+";SecretName="+v.Secret+")")
	case needed:
		w.problems = append(w.problems, fmt.Errorf("%s is missing", key))
	}
}

// stored prints the setting of a secret: its name in the vault, and where it is not
// there yet the command that stores it.
func (w *writer) stored(suffix, before, key, what string) {
	v := w.section.Values[key]
	if v.InVault {
		if v.Vault != "" && vaultName(v.Vault) != vaultName(w.vault) {
			w.add(w.setting("KEY_VAULT_URL"), vaultURL(v.Vault, w.suffix))
		}
		w.set(suffix, before+v.Secret)
		return
	}
	name := "defender-" + what
	if w.name != "" {
		name += "-" + strings.ToLower(w.name)
	}
	var from string
	switch isFile := !secrets[key]; {
	case v.InFile:
		from = fmt.Sprintf(`python3 -c 'import sys, yaml; sys.stdout.write(yaml.safe_load(open(sys.argv[1]))["DataProviders"][sys.argv[2]]["Args"][sys.argv[3]])' %s %s %s`,
			quoted(w.o.Path), quoted(w.section.Name), key)
	case v.Variable != "" && isFile:
		from = `cat "$` + v.Variable + `"`
	case v.Variable != "":
		from = `printf %s "$` + v.Variable + `"`
	default:
		from = "cat " + quoted(v.Text)
	}
	w.say("%s | az keyvault secret set --vault-name %s --name %s --file /dev/stdin --encoding utf-8 --output none", from, vaultName(cmp.Or(w.vault, "<vault>")), name)
	w.set(suffix, before+name)
}

// stores reports whether the section has anything that is to be put into the vault.
func (w *writer) stores() bool {
	for _, key := range []string{"ClientSecret", "Certificate", "PrivateKey", "PrivateKeySecret"} {
		if v := w.section.Values[key]; v.InFile || v.Variable != "" || v.Text != "" {
			return true
		}
	}
	return false
}

// vaultName is the name of a vault that is given by its name or URL.
func vaultName(vault string) string {
	vault = strings.TrimPrefix(vault, "https://")
	vault, _, _ = strings.Cut(vault, ".")
	return vault
}

func vaultURL(vault, suffix string) string {
	if strings.Contains(vault, "://") {
		return strings.TrimRight(vault, "/")
	}
	return "https://" + vault + suffix
}

// vaultSuffix is how the addresses of the file's vaults end: as it says; where it does
// not, of the US government's cloud if all of its connections are.
func (f File) vaultSuffix() string {
	if named, err := cloud.Parse(f.VaultCloud); err == nil && f.VaultCloud != "" {
		return named.VaultSuffix()
	}
	suffix := ""
	for _, s := range f.Sections {
		c, err := cloud.Parse(s.Values["Cloud"].Text)
		if err != nil || suffix != "" && c.VaultSuffix() != suffix {
			return cloud.Cloud{}.VaultSuffix()
		}
		suffix = c.VaultSuffix()
	}
	return suffix
}

// tokenCache prints a setting for the path that MSTICPy keeps its tokens at, which is
// a file; ours is a folder or a name.
func (w *writer) tokenCache() {
	v := w.section.Values["TokenCachePath"]
	if i := strings.LastIndexAny(v.Text, `/\`); i > 0 && i < len(v.Text)-1 {
		w.say("TokenCachePath is a file; tokens are kept by the machine's keyring, and the account record in its folder")
		w.set("TOKEN_CACHE", v.Text[:i+1])
		return
	}
	w.plain("TOKEN_CACHE", "TokenCachePath", false)
}

// quoted is text as a shell takes it for one word.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
