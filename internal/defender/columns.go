package defender

import (
	"strings"

	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// kqlNames are the KQL types by the names that answers give them, in lower case.
// Source: Kusto's wire names; SByte is how it writes bool, SqlDecimal decimal.
var kqlNames = map[string]string{
	"datetime": "datetime", "string": "string", "int": "int", "int32": "int", "long": "long", "int64": "long", "bool": "bool", "sbyte": "bool", "boolean": "bool",
	"real": "real", "double": "real", "decimal": "decimal", "sqldecimal": "decimal", "dynamic": "dynamic", "object": "dynamic",
	"guid": "guid", "timespan": "timespan",
}

// kqlTypes are the KQL types of an answer's columns by name; nil where it named none.
// A type that nobody knows is dynamic, which holds every value.
func kqlTypes(columns []rowpath.Column) map[string]string {
	if len(columns) == 0 {
		return nil
	}
	types := make(map[string]string, len(columns))
	for _, c := range columns {
		name := strings.ToLower(c.Type)
		name = name[strings.LastIndexByte(name, '.')+1:] // System.SByte
		kind, known := kqlNames[name]
		if !known {
			kind = "dynamic"
		}
		types[c.Name] = kind
	}
	return types
}
