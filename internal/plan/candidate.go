package plan

import (
	"cmp"
	"errors"
)

// DefaultInstance is what people call the instance without a name where one must be
// given, as in a query string.
const DefaultInstance = "default"

// ShownInstance is an instance's name for people.
func ShownInstance(name string) string { return cmp.Or(name, DefaultInstance) }

// Candidate is a row of MigrationConfiguration among all others: its Instance is a
// key, its DestinationTable the raw table.
type Candidate struct {
	Row
	// Problem says why the row cannot be migrated, whatever its own columns say; nil:
	// nothing is known against it.
	Problem error
	// Elsewhere is the database of the raw table where it is not that of the control
	// tables; "" where it is.
	Elsewhere string
}

// Key names the row's table.
func (c Candidate) Key() Key { return Key{Instance: c.Instance, Source: c.SourceTable} }

// Table checks the row as Row.Table does, and Problem before it.
func (c Candidate) Table() (Table, error) {
	t, err := c.Row.Table()
	if err = errors.Join(c.Problem, err); err != nil {
		return Table{}, err
	}
	return t, nil
}
