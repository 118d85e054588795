package tenant

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// The lists that the REST APIs have beside the hunting tables. The first seven are
// Defender for Endpoint's, the last two Graph's.
const (
	Machines        = "machines"
	Alerts          = "alerts"
	Vulnerabilities = "vulnerabilities"
	Recommendations = "recommendations"
	Software        = "software"
	Indicators      = "indicators"
	Changes         = "softwarevulnerabilitychanges" // an id may come again, with another status
	AlertsV2        = "alerts_v2"
	Incidents       = "incidents"
)

// derived are the functions that read a list from the hunting tables.
func derived() map[string]func(*Tenant) [][]byte {
	return map[string]func(*Tenant) [][]byte{
		Machines: (*Tenant).machines, Alerts: (*Tenant).alerts, AlertsV2: (*Tenant).graphAlerts, Incidents: (*Tenant).incidents,
		Vulnerabilities: (*Tenant).vulnerabilities, Software: (*Tenant).softwareList, Recommendations: (*Tenant).recommendations,
		Indicators: (*Tenant).indicators, Changes: (*Tenant).changes,
	}
}

// List gives a list's rows, JSON objects that must not be changed, in the list's
// order. Until it is first asked for, or set, a list is what the hunting tables tell:
// the same devices, alerts and vulnerabilities. From then on it stands for itself.
func (t *Tenant) List(name string) [][]byte {
	t.mu.RLock()
	rows, known := t.lists[name]
	t.mu.RUnlock()
	if known {
		return rows
	}
	derive := derived()[name]
	if derive == nil {
		return nil
	}
	rows = derive(t)
	t.mu.Lock()
	defer t.mu.Unlock()
	if now, known := t.lists[name]; known {
		return now
	}
	t.lists[name] = rows
	return rows
}

// SetList replaces a list's rows.
func (t *Tenant) SetList(name string, rows ...string) error {
	texts := make([][]byte, len(rows))
	for i, row := range rows {
		texts[i] = bytes.TrimSpace([]byte(row))
		if err := checkRow(texts[i]); err != nil {
			return fmt.Errorf("set list %s: row %d: %w", name, i, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lists[name] = texts
	return nil
}

// PutEntity replaces the row with the same id, or adds one at the end; last moves a row
// that is replaced to the end.
func (t *Tenant) PutEntity(name, row string, last bool) error {
	text := bytes.TrimSpace([]byte(row))
	if err := checkRow(text); err != nil {
		return fmt.Errorf("put into list %s: %w", name, err)
	}
	t.List(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := slices.Clone(t.lists[name])
	at := slices.IndexFunc(rows, func(r []byte) bool { return EntityID(r) == EntityID(text) })
	switch {
	case at < 0:
		rows = append(rows, text)
	case last:
		rows = append(slices.Delete(rows, at, at+1), text)
	default:
		rows[at] = text
	}
	t.lists[name] = rows
	return nil
}

// AppendEntity adds rows at a list's end, whatever their ids.
func (t *Tenant) AppendEntity(name string, rows ...string) error {
	texts := make([][]byte, len(rows))
	for i, row := range rows {
		texts[i] = bytes.TrimSpace([]byte(row))
		if err := checkRow(texts[i]); err != nil {
			return fmt.Errorf("append to list %s: row %d: %w", name, i, err)
		}
	}
	t.List(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lists[name] = append(slices.Clone(t.lists[name]), texts...)
	return nil
}

// WithMember gives a row in which a member has another value, a JSON text.
func WithMember(row []byte, name string, value []byte) []byte {
	b := []byte{'{'}
	for key, old := range Members(row) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(quoted(b, string(key)), ':')
		if string(key) == name {
			old = value
		}
		b = append(b, old...)
	}
	return append(b, '}')
}

// DropEntity removes the row with an id.
func (t *Tenant) DropEntity(name, id string) {
	t.List(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lists[name] = slices.DeleteFunc(slices.Clone(t.lists[name]), func(r []byte) bool { return EntityID(r) == id })
}

// EntityID is a row's id, as its JSON text has it, without quotes.
func EntityID(row []byte) string {
	for key, value := range Members(row) {
		if string(key) == "id" {
			return string(bytes.Trim(value, `"`))
		}
	}
	return ""
}

// record is a row of a hunting table that a list is read from.
type record map[string]any

// records decodes a table's rows; numbers keep their text.
func (t *Tenant) records(table string) []record {
	var all []record
	for row := range t.Rows(table) {
		d := json.NewDecoder(bytes.NewReader(row))
		d.UseNumber()
		r := record{}
		if d.Decode(&r) == nil {
			all = append(all, r)
		}
	}
	return all
}

// text is a member as text; "" where it is none.
func (r record) text(name string) string {
	s, _ := r[name].(string)
	return s
}

// orNull is a member, or null where it is an empty text.
func (r record) orNull(name string) any {
	if v := r[name]; v != "" {
		return v
	}
	return nil
}

// is reads a truth value in any of its forms.
func (r record) is(name string) bool {
	switch v := r[name].(type) {
	case bool:
		return v
	case json.Number:
		return v != "0"
	}
	return false
}

// object writes a JSON object of names and values in turn.
func object(pairs ...any) []byte {
	b := []byte{'{'}
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		value, err := json.Marshal(pairs[i+1])
		if err != nil {
			panic(err) // what lists are made of always marshals
		}
		b = append(append(quoted(b, pairs[i].(string)), ':'), value...)
	}
	return append(b, '}')
}

// list is a JSON array that is never null.
func list[T any](values ...T) []T { return append([]T{}, values...) }
