// Package storedtest checks in tests that stored documents keep the names of
// their members: what was written once is read for ever.
package storedtest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Named fails the test for each exported field of the document, or of a struct in
// it, whose JSON tag names no member: a field without one is stored under a name
// that changes with the code.
func Named(t *testing.T, document any) {
	t.Helper()
	for _, field := range unnamed(reflect.TypeOf(document), map[reflect.Type]bool{}) {
		t.Errorf("%s is stored and has no name of its own: give it a json tag, and omitzero where it is new", field)
	}
}

// unnamed lists the fields, each struct once.
func unnamed(typ reflect.Type, seen map[reflect.Type]bool) (fields []string) {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return unnamed(typ.Elem(), seen)
	case reflect.Struct:
	default:
		return nil
	}
	if seen[typ] || typ == reflect.TypeFor[time.Time]() {
		return nil
	}
	seen[typ] = true
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && !f.Anonymous && (name == "" || name == "-") {
			fields = append(fields, fmt.Sprintf("%v.%s", typ, f.Name))
		}
		fields = append(fields, unnamed(f.Type, seen)...)
	}
	return fields
}
