package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// Instance is one connection to Defender: a tenant with its interface and
// credential, its share of the calls, and where its tables go. Two of them may name
// one tenant, and then share what it allows.
type Instance struct {
	// Name is spelled as DEFENDER_INSTANCES has it; "" is the default instance, that
	// of the settings without a name.
	Name     string
	Defender Defender
	KeyVault string // URL; "" when the credential needs none
	// Fault says why nothing can be copied through the instance, each line with the
	// setting to be changed; nil: it is complete.
	Fault error
}

// Key is the instance's name as states, wake-ups and ledgers have it: names are
// compared without regard to case.
func (i Instance) Key() string { return InstanceKey(i.Name) }

// Shown is the instance's name for people.
func (i Instance) Shown() string { return plan.ShownInstance(i.Name) }

// InstanceKey is a name that a person wrote as Key gives it.
func InstanceKey(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

const (
	instancesSetting = "DEFENDER_INSTANCES"
	tenantSetting    = "DEFENDER_TENANT_ID"
	clientSetting    = "DEFENDER_CLIENT_ID"
	authoritySetting = "DEFENDER_AUTHORITY"
	defenderPrefix   = "DEFENDER_"
	adxPrefix        = "ADX_"
	vaultSetting     = "KEY_VAULT_URL"
)

// ofInstance reports whether each instance may have the setting for itself.
func ofInstance(setting string) bool {
	return strings.HasPrefix(setting, defenderPrefix) && setting != instancesSetting || setting == vaultSetting
}

// source reads the settings of one instance: DEFENDER_<NAME>_X where DEFENDER_X is
// asked for, and DEFENDER_<NAME>_KEY_VAULT_URL for KEY_VAULT_URL. What is not set under
// the instance's name falls back to the setting without one, but for the tenant: a name
// that is misspelled must not copy another tenant's rows under its own. Every other
// setting is getenv's own. The application of ADX is read in the same way, with ADX_X for
// those of adxReads, and its tenant falls back, too: no row goes by it.
type source struct {
	getenv   func(string) string
	instance string // as spelled in DEFENDER_INSTANCES; "" is the default instance
	adx      bool   // ADX's own application, which is no instance
}

// prefix begins the source's own names, in capital letters; "" is the default instance.
func (s source) prefix() string {
	switch {
	case s.adx:
		return adxPrefix
	case s.instance != "":
		return defenderPrefix + strings.ToUpper(s.instance) + "_"
	}
	return ""
}

// mayOwn reports whether the setting may stand under an own name of the source.
func (s source) mayOwn(setting string) bool {
	if s.adx {
		return setting == clientSetting || adxReads[setting] != nil
	}
	return s.instance != "" && ofInstance(setting)
}

// names are the setting's own names: of ADX one, of a named instance in capital letters and, since
// on Linux the names of variables have a case of their own, as the list spells it.
func (s source) names(setting string) []string {
	rest := strings.TrimPrefix(setting, defenderPrefix)
	if s.adx {
		return []string{adxPrefix + rest}
	}
	return []string{s.prefix() + rest, defenderPrefix + s.instance + "_" + rest}
}

// find returns the variable that gives the setting, and its value; the variable to
// be set where there is none.
func (s source) find(setting string) (name, value string) {
	var variables, connections []string
	if s.mayOwn(setting) {
		variables = s.names(setting)
	}
	if s.mayOwn(connectionSetting) {
		connections = s.names(connectionSetting)
	}
	levels := [][2][]string{{variables, connections}, {{setting}, {connectionSetting}}}
	if s.instance != "" && setting == tenantSetting {
		levels = levels[:1]
	}
	for _, level := range levels {
		for _, name := range level[0] {
			if v := strings.TrimSpace(s.getenv(name)); v != "" {
				return name, v
			}
		}
		for _, name := range level[1] {
			if v := connected(s.getenv, name, setting); v != "" {
				return name, v
			}
		}
	}
	if len(variables) > 0 {
		return variables[0], ""
	}
	return setting, ""
}

func (s source) value(setting string) string { _, v := s.find(setting); return v }

// fault is an error of the setting, under the name of the variable that gives it or
// should.
func (s source) fault(setting, format string, args ...any) error {
	name, _ := s.find(setting)
	return fmt.Errorf("%s: "+format, append([]any{name}, args...)...)
}

var instanceForm = regexp.MustCompile(`^[A-Za-z0-9]{1,24}$`)

// instanceNames reads DEFENDER_INSTANCES: names between commas.
func instanceNames(text string) ([]string, error) {
	var names []string
	var faults []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if err := CheckInstanceName(name); err != nil {
			faults = append(faults, err.Error())
			continue
		}
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			faults = append(faults, fmt.Sprintf("%q is there twice; names are compared without regard to case", name))
			continue
		}
		names = append(names, name)
	}
	if len(faults) > 0 {
		return names, errors.New(strings.Join(faults, "; "))
	}
	return names, nil
}

// CheckInstanceName returns an error in the operator's words when a name is none of an
// instance.
func CheckInstanceName(name string) error {
	switch {
	case !instanceForm.MatchString(name):
		return fmt.Errorf("want names of 1 to 24 letters and digits with commas between them, got %s", secret.Quoted(name))
	case strings.EqualFold(name, plan.DefaultInstance):
		return fmt.Errorf("%q is what the instance without a name is called: choose another name", name)
	case slices.Contains(firstWords(), strings.ToUpper(name)):
		return fmt.Errorf("%q begins the name of a setting (%s%s...): choose another name", name, defenderPrefix, strings.ToUpper(name))
	}
	return nil
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// firstWords are the words after DEFENDER_ with which settings begin: no name of an
// instance may be one of them, or its settings could be those.
func firstWords() []string {
	var c Config
	var words []string
	for _, s := range Settings(&c) {
		if rest, ok := strings.CutPrefix(s.Name, defenderPrefix); ok {
			word, _, _ := strings.Cut(rest, "_")
			words = append(words, word)
		}
	}
	return words
}

// instanceList is DEFENDER_INSTANCES as far as it can be read, for what only warns.
func instanceList(getenv func(string) string) []string {
	names, _ := instanceNames(getenv(instancesSetting))
	unnamed := source{getenv: getenv}
	if len(names) == 0 || unnamed.value(tenantSetting) != "" || unnamed.untold(tenantSetting) {
		names = append([]string{""}, names...)
	}
	return names
}

// readInstance reads and checks one instance.
func readInstance(getenv func(string) string, name string, attended bool) Instance {
	s := source{getenv: getenv, instance: name}
	c, errs := s.read(func(s Setting) bool { return ofInstance(s.Name) })
	i := Instance{Name: name, Defender: c.Defender, KeyVault: c.KeyVault}
	d := &i.Defender
	s.ownAddresses(d)
	errs = append(errs, s.place(d)...)
	if (d.API == "mde" || d.API == "auto") && s.value("DEFENDER_CALLS_PER_HOUR") == "" {
		// Source: run-advanced-query-api, 1,500 calls an hour.
		d.CallsPerHour = 1500
	}
	for setting, value := range map[string]string{"DEFENDER_BASE_URL": d.BaseURL, "DEFENDER_SCOPE": d.Scope} {
		if d.API == "auto" && value != "" {
			errs = append(errs, s.fault(setting, "is that of one API, and DEFENDER_API=auto uses two: set %s_GRAPH and %s_MDE", setting, setting))
		}
	}
	errs = append(errs, s.connectionFaults()...)
	errs = append(errs, s.credential(&i)...)
	if !attended {
		errs = append(errs, s.unattended(d.Credential.Kind))
	}
	if (d.QuotaMinute != time.Minute && d.QuotaMinute != 0 || d.QuotaHour != time.Hour && d.QuotaHour != 0) && !address.IsLoopbackURL(d.BaseURL) {
		errs = append(errs, errors.New("DEFENDER_QUOTA_MINUTE, DEFENDER_QUOTA_HOUR: only tests against an emulator may change them"))
	}
	i.Fault = errors.Join(errs...)
	return i
}

// ownAddresses lets what stands under an own name win over what it would
// take from the settings without one: the authority of its token URL, the address and
// scope of its API, and an address that is that of another API there.
func (s source) ownAddresses(d *Defender) {
	if s.prefix() == "" {
		return
	}
	if s.own(tenantSetting) && !s.own(authoritySetting) {
		_ = tenant(d)(s.value(tenantSetting)) // read before, and its faults were said
	}
	others := s.own("DEFENDER_API") && !strings.EqualFold(d.API, strings.TrimSpace(cmp.Or(s.getenv("DEFENDER_API"), "graph")))
	suffix := "_" + strings.ToUpper(d.API)
	for setting, value := range map[string]*string{"DEFENDER_BASE_URL": &d.BaseURL, "DEFENDER_SCOPE": &d.Scope} {
		if !s.own(setting) && (others || s.own(setting+suffix)) {
			*value = ""
		}
	}
}

// Instance returns the instance that a person's text names, in any letter case; ""
// and plan.DefaultInstance are the one without a name. The error lists the names.
func (c Config) Instance(name string) (Instance, error) {
	key := InstanceKey(name)
	if key == plan.DefaultInstance {
		key = ""
	}
	for _, i := range c.Instances {
		if i.Key() == key {
			return i, nil
		}
	}
	return Instance{}, c.Unknown(key)
}

// Unknown is the error for a name that is none of an instance; it lists the names.
func (c Config) Unknown(name string) error {
	if err := CheckInstanceName(name); name != "" && name != plan.DefaultInstance && err != nil {
		return fmt.Errorf("instance %q can be none: %w", clip(name), err)
	}
	if name == "" {
		return fmt.Errorf("no instance is named, and the settings without a name are none (DEFENDER_TENANT_ID is not set): want one of %s", c.InstanceNames())
	}
	return fmt.Errorf("instance %q: no setting names it: want one of %s, or add it to %s", clip(name), c.InstanceNames(), instancesSetting)
}

// InstanceNames lists the instances' names for people.
func (c Config) InstanceNames() string {
	names := make([]string, len(c.Instances))
	for i, instance := range c.Instances {
		names[i] = instance.Shown()
	}
	return strings.Join(names, ", ")
}
