package funchost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/defender2adx/defender2adx/internal/address"
)

// settings are the app settings, which are also the handler's environment. Names
// are compared without case, as the real host's configuration compares them; the
// spelling of the last writer is kept for the environment.
type settings struct {
	byName map[string]setting // by lower-case name
}

type setting struct{ name, value string }

// readSettings merges the Values of local.settings.json, which may be missing,
// with environ ("K=V", later entries win). The environment wins over the file.
// Values that are not strings are skipped, as Core Tools skips them.
func readSettings(appRoot string, environ []string) (settings, error) {
	s := settings{byName: make(map[string]setting)}
	file, err := LocalSettings(appRoot)
	if err != nil {
		return s, err
	}
	for name, value := range file {
		s.set(name, value)
	}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			s.set(name, value)
		}
	}
	return s, nil
}

// LocalSettings returns the Values of dir's local.settings.json that are strings;
// none where the file is missing. An error quotes nothing of the file.
func LocalSettings(dir string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "local.settings.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read local settings: %w", err)
	}
	var file struct {
		IsEncrypted bool
		Values      map[string]any
	}
	if err := json.Unmarshal(text, &file); err != nil {
		// The decoder's message may quote the text, and the text holds secrets.
		return nil, fmt.Errorf("parse local.settings.json (%d bytes): not the JSON object it has to be", len(text))
	}
	if file.IsEncrypted {
		return nil, errors.New("read local.settings.json: it is encrypted; decrypt it with `func settings decrypt`")
	}
	out := make(map[string]string, len(file.Values))
	for name, value := range file.Values {
		if text, ok := value.(string); ok {
			out[name] = text
		}
	}
	return out, nil
}

func (s settings) set(name, value string) {
	s.byName[strings.ToLower(name)] = setting{name, value}
}

// lookup returns the setting's value. An empty value counts as absent, because
// .NET drops environment variables that are empty.
func (s settings) lookup(name string) (string, bool) {
	entry := s.byName[strings.ToLower(name)]
	return entry.value, entry.value != ""
}

// enabled tells whether the setting holds true or 1.
func (s settings) enabled(name string) bool {
	value, _ := s.lookup(name)
	return value == "1" || strings.EqualFold(value, "true")
}

// without is a copy that lacks the named settings.
func (s settings) without(names []string) settings {
	rest := settings{byName: maps.Clone(s.byName)}
	for _, name := range names {
		delete(rest.byName, strings.ToLower(name))
	}
	return rest
}

// environ returns the settings as "K=V", sorted.
func (s settings) environ() []string {
	all := make([]string, 0, len(s.byName))
	for _, entry := range s.byName {
		all = append(all, entry.name+"="+entry.value)
	}
	sort.Strings(all)
	return all
}

var percentName = regexp.MustCompile(`%([^%]+)%`)

// resolve replaces every %NAME% in a binding property. A name without a setting
// is an error, as it is in the real host.
func (s settings) resolve(text string) (string, error) {
	var missing []string
	out := percentName.ReplaceAllStringFunc(text, func(match string) string {
		value, ok := s.lookup(match[1 : len(match)-1])
		if !ok {
			missing = append(missing, match)
		}
		return value
	})
	if missing != nil {
		return "", fmt.Errorf("resolve %q: no app setting for %s", text, strings.Join(missing, ", "))
	}
	return out, nil
}

// expand replaces every %NAME% in the description of the handler process. There,
// unlike in bindings, a name without a setting becomes empty.
func (s settings) expand(text string) string {
	return percentName.ReplaceAllStringFunc(text, func(match string) string {
		value, _ := s.lookup(match[1 : len(match)-1])
		return value
	})
}

const defaultConnection = "AzureWebJobsStorage"

// connection returns the storage connection string that a binding's `connection`
// property names. AzureWebJobs<name> goes before <name>; no name means
// AzureWebJobsStorage. Identity-based connections are refused: the storage
// emulator has no directory to ask.
func (s settings) connection(name string) (string, error) {
	if name == "" {
		name = defaultConnection
	}
	for _, candidate := range []string{"AzureWebJobs" + name, name} {
		if value, ok := s.lookup(candidate); ok {
			return address.ExpandStorage(value), nil
		}
		for known := range s.byName {
			if strings.HasPrefix(known, strings.ToLower(candidate)+"__") {
				return "", fmt.Errorf("find connection %s: identity-based connections are not supported by the local host; set a connection string", name)
			}
		}
	}
	return "", fmt.Errorf("find connection %s: no such app setting", name)
}
