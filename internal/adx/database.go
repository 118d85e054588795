package adx

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// database is what stands in the database, by name.
type database struct {
	Tables            map[string]table
	Functions         map[string]function
	MaterializedViews map[string]json.RawMessage
}

type table struct{ OrderedColumns []column }

type function struct{ Body, Folder string }

// tablesOf is a database of one table.
func tablesOf(name string, columns []column) map[string]table {
	return map[string]table{name: {OrderedColumns: columns}}
}

// readDatabase reads the schema, which takes no more than the viewer role.
func (c *Client) readDatabase(ctx context.Context) (database, error) {
	type answer struct {
		Schema string `kusto:"DatabaseSchema"`
	}
	found, err := command[answer](ctx, c, viewers, ".show database schema as json")
	if err != nil {
		return database{}, fmt.Errorf("read the schema of database %s: %w", c.database, err)
	}
	var all struct{ Databases map[string]database }
	if len(found) != 1 {
		err = fmt.Errorf("want one answer, got %d", len(found))
	} else {
		err = json.Unmarshal([]byte(found[0].Schema), &all)
	}
	if err == nil && len(all.Databases) != 1 {
		err = fmt.Errorf("want one database, got %d", len(all.Databases))
	}
	if err != nil {
		return database{}, fault.As(fault.Retry, fmt.Errorf("read the schema of database %s: %w", c.database, err))
	}
	for _, d := range all.Databases { // the only one, whatever its spelling
		return d, nil
	}
	return database{}, nil
}

// compare returns the columns that a table lacks and those that it has with a
// type in which our values have no place.
func (d database) compare(want head) (lacks, clashes []column, exists bool) {
	t, exists := d.Tables[want.object]
	have := make(map[string]string, len(t.OrderedColumns))
	for _, c := range t.OrderedColumns {
		have[c.Name] = c.Type
	}
	for _, c := range want.columns {
		switch typ, ok := have[c.Name]; {
		case !ok:
			lacks = append(lacks, c)
		case typ != c.Type && (c.Type != "int" || typ != "long"):
			clashes = append(clashes, column{Name: c.Name, Type: typ})
		}
	}
	return lacks, clashes, exists
}

// has reports whether the function stands with the same text, white space and the
// outer braces aside.
func (d database) has(f head) bool {
	have, ok := d.Functions[f.object]
	return ok && bodyText(have.Body) == bodyText(f.body)
}

func bodyText(body string) string {
	body = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(body), "{"), "}")
	return strings.Join(strings.Fields(body), " ")
}
