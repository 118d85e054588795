// Package msticpy reads the Defender connections of a msticpyconfig.yaml and tells
// which settings of ours are the same. It keeps no secret: of a secret's value it knows
// only where in the file it stands.
package msticpy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/defender2adx/defender2adx/internal/secret"
)

// Section is one connection: MicrosoftDefender, or MicrosoftDefender-<Instance>.
type Section struct {
	Name     string // as the file has it
	Instance string // after the hyphen; "" is the section without one
	Values   map[string]Value
	Unknown  []string // keys that are none of ours
}

// Value is where an argument's value comes from; at most one field is set.
type Value struct {
	Text     string // itself; never that of a secret
	InFile   bool   // a secret that stands in the file
	InVault  bool   // Vault and Secret say where
	Vault    string // name; "" is the file's own vault
	Secret   string // name
	Variable string // name of an environment variable
}

// IsZero tells whether the file gives no value.
func (v Value) IsZero() bool { return v == Value{} }

// File is what a msticpyconfig.yaml says of Defender.
type File struct {
	Vault string // name of its Key Vault; "" when it names none
	// VaultCloud is the Azure cloud of that vault, as the file spells it; "": it does
	// not say.
	VaultCloud string
	Sections   []Section
}

// keys are the arguments of a section. Source: MSTICPy, Microsoft Defender provider.
var keys = []string{"ClientId", "TenantId", "UserName", "Cloud", "ClientSecret", "Certificate", "PrivateKey", "PrivateKeySecret", "TokenCachePath"}

// secrets are those of them whose text is never kept.
var secrets = map[string]bool{"ClientSecret": true, "PrivateKeySecret": true}

const sectionName = "MicrosoftDefender"

// Read reads a file. Its errors quote no value.
func Read(from io.Reader) (File, error) {
	var root struct {
		DataProviders yaml.Node `yaml:"DataProviders"`
		KeyVault      struct {
			VaultName yaml.Node `yaml:"VaultName"`
			Authority yaml.Node `yaml:"Authority"`
		} `yaml:"KeyVault"`
		Azure struct {
			Cloud yaml.Node `yaml:"cloud"`
		} `yaml:"Azure"`
	}
	if err := yaml.NewDecoder(from).Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		return File{}, errors.New("read msticpyconfig.yaml: it is no YAML of the form that MSTICPy documents" + atLine(err))
	}
	// Source: MSTICPy, Key Vault secrets: a vault is in its Authority's cloud, in newer
	// versions in the one of Azure.
	f := File{Vault: root.KeyVault.VaultName.Value, VaultCloud: cmp.Or(root.KeyVault.Authority.Value, root.Azure.Cloud.Value)}
	providers := root.DataProviders.Content
	for i := 0; i+1 < len(providers); i += 2 {
		name := providers[i].Value
		instance, named := strings.CutPrefix(name, sectionName+"-")
		if !named && name != sectionName {
			continue
		}
		section := Section{Name: name, Values: map[string]Value{}}
		if named {
			section.Instance = instance
		}
		var body struct {
			Args yaml.Node `yaml:"Args"`
		}
		if err := providers[i+1].Decode(&body); err != nil || body.Args.Kind != yaml.MappingNode {
			return File{}, fmt.Errorf("read msticpyconfig.yaml: section %s (line %d): want Args with a value for each key", name, providers[i].Line)
		}
		if err := section.read(body.Args.Content); err != nil {
			return File{}, fmt.Errorf("read msticpyconfig.yaml: section %s: %w", name, err)
		}
		f.Sections = append(f.Sections, section)
	}
	if len(f.Sections) == 0 {
		return File{}, fmt.Errorf("read msticpyconfig.yaml: it has no section %s or %s-<name> under DataProviders", sectionName, sectionName)
	}
	return f, nil
}

// atLine keeps where a fault is and leaves out what stands there.
func atLine(err error) string {
	_, rest, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return ""
	}
	line, _, _ := strings.Cut(rest, ":")
	return ": line " + line
}

func (s *Section) read(args []*yaml.Node) error {
	for i := 0; i+1 < len(args); i += 2 {
		key := ""
		for _, k := range keys {
			if strings.EqualFold(k, args[i].Value) {
				key = k
			}
		}
		if key == "" {
			s.Unknown = append(s.Unknown, args[i].Value)
			continue
		}
		v, err := s.value(key, args[i+1])
		if err != nil {
			return fmt.Errorf("%s (line %d): %w", key, args[i].Line, err)
		}
		s.Values[key] = v
	}
	return nil
}

// variableName is what a shell takes for the name of a variable.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// unnamed is what no name of a vault's secret has.
var unnamed = regexp.MustCompile(`[^0-9A-Za-z-]`)

// paths are keys whose text is the path of a file, or what should lie there.
var paths = map[string]bool{"Certificate": true, "PrivateKey": true}

// isSecret tells whether a text of the key must not be shown.
func isSecret(key, text string) bool {
	return secrets[key] || secret.IsPEM(text) || paths[key] && text != "" && !secret.IsPath(text)
}

// value reads a text, KeyVault: or EnvironmentVar:. A vault's secret without a name is
// called after its place in the file. Source: MSTICPy, secret settings.
func (s *Section) value(key string, n *yaml.Node) (Value, error) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return Value{}, nil
	case n.Kind == yaml.ScalarNode && isSecret(key, n.Value):
		return Value{InFile: n.Value != ""}, nil
	case n.Kind == yaml.ScalarNode && strings.ContainsFunc(strings.TrimSpace(n.Value), unicode.IsControl):
		return Value{}, errors.New("want one line without control characters")
	case n.Kind == yaml.ScalarNode:
		return Value{Text: strings.TrimSpace(n.Value)}, nil
	case n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[1].Kind != yaml.ScalarNode:
		return Value{}, errors.New("want a text, KeyVault: or EnvironmentVar:")
	}
	given := n.Content[1]
	switch n.Content[0].Value {
	case "KeyVault":
		v := Value{InVault: true, Secret: given.Value}
		if given.Tag == "!!null" || given.Value == "" {
			v.Secret = unnamed.ReplaceAllString("DataProviders-"+s.Name+"-Args-"+key, "-")
		} else if vault, name, ok := strings.Cut(given.Value, "/"); ok {
			v.Vault, v.Secret = vault, name
		}
		if !secret.IsVaultName(v.Secret) {
			return Value{}, errors.New("KeyVault: want the name of a secret, of 1 to 127 letters, digits and hyphens, not the secret itself")
		}
		return v, nil
	case "EnvironmentVar":
		if !variableName.MatchString(given.Value) {
			return Value{}, errors.New("want the name of a variable after EnvironmentVar: letters, digits and underscores")
		}
		return Value{Variable: given.Value}, nil
	}
	return Value{}, errors.New("want a text, KeyVault: or EnvironmentVar:")
}
