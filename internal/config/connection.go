package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const connectionSetting = "DEFENDER_CONNECTION"

// inConnection are the members of a connection string and the settings that they stand
// for; names are compared without regard to case and underscores.
var inConnection = map[string]string{
	"tenantid": "DEFENDER_TENANT_ID", "clientid": "DEFENDER_CLIENT_ID", "clientsecret": "DEFENDER_CLIENT_SECRET", "username": "DEFENDER_USERNAME",
}

var errConnection = errors.New("want a connection string such as tenant_id='...'; client_id='...'; client_secret='...' (or username='...')")

// parseConnection returns the settings that a connection string stands for. Values may
// stand in quotes of either kind. Errors quote nothing: it is a secret.
func parseConnection(text string) (map[string]string, error) {
	out := map[string]string{}
	for rest := strings.TrimSpace(text); rest != ""; {
		name, after, ok := strings.Cut(rest, "=")
		setting, known := inConnection[strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), "_", ""))]
		switch {
		case !ok || !known:
			return nil, fmt.Errorf("%w: a part of it is none of these", errConnection)
		case out[setting] != "":
			return nil, fmt.Errorf("%w: it has %s twice", errConnection, strings.TrimSpace(name))
		}
		after = strings.TrimSpace(after)
		var value string
		if after != "" && (after[0] == '\'' || after[0] == '"') {
			if value, rest, ok = strings.Cut(after[1:], after[:1]); !ok {
				return nil, fmt.Errorf("%w: a quote of it is not closed", errConnection)
			}
			if rest = strings.TrimSpace(rest); rest != "" && rest[0] != ';' {
				return nil, fmt.Errorf("%w: want ; between its parts", errConnection)
			}
			rest = strings.TrimPrefix(rest, ";")
		} else {
			value, rest, _ = strings.Cut(after, ";")
		}
		if out[setting] = strings.TrimSpace(value); out[setting] == "" {
			return nil, fmt.Errorf("%w: %s of it is empty", errConnection, strings.TrimSpace(name))
		}
		rest = strings.TrimSpace(rest)
	}
	return out, nil
}

// connection checks the string; source.find reads what is in it.
func connection(text string) error {
	_, err := parseConnection(text)
	return err
}

// connected returns what the connection string in a variable has for a setting.
func connected(getenv func(string) string, variable, setting string) string {
	if !slices.Contains(slices.Collect(maps.Values(inConnection)), setting) {
		return ""
	}
	parts, err := parseConnection(getenv(variable))
	if err != nil {
		return "" // told by the setting's own check
	}
	return parts[setting]
}

// untold reports whether the setting may stand in a connection string that cannot be
// read: that it is not set is then no fault of its own.
func (s source) untold(setting string) bool {
	if s.adx || !slices.Contains(slices.Collect(maps.Values(inConnection)), setting) || s.value(connectionSetting) == "" {
		return false // to ADX nobody tells why the string cannot be read
	}
	return connection(s.value(connectionSetting)) != nil && (setting != tenantSetting || s.own(connectionSetting))
}

// connectionFaults finds settings that say once more what the connection string beside
// them says.
func (s source) connectionFaults() (errs []error) {
	variable, _ := s.find(connectionSetting)
	for _, setting := range slices.Sorted(maps.Values(inConnection)) {
		if name, value := s.find(setting); value != "" && name != variable && s.own(setting) == s.own(connectionSetting) && connected(s.getenv, variable, setting) != "" {
			errs = append(errs, fmt.Errorf("%s: is set beside %s, which has it, too: leave one of them out", name, variable))
		}
	}
	return errs
}
