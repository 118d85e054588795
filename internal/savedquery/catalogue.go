package savedquery

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/defender2adx/defender2adx/queries"
)

// folder holds queries beside the program, which are known beside those that are built
// in and before one of the same name.
const folder = "queries"

var known = sync.OnceValue(func() []Query {
	program, err := os.Executable()
	if err != nil {
		return merged(Read(queries.Files), nil)
	}
	return merged(Read(queries.Files), Read(os.DirFS(filepath.Join(filepath.Dir(program), folder))))
})

func merged(shipped, own []Query) []Query {
	all := slices.DeleteFunc(slices.Clone(shipped), func(q Query) bool {
		return slices.ContainsFunc(own, func(o Query) bool { return strings.EqualFold(o.Name, q.Name) })
	})
	all = append(all, own...)
	slices.SortFunc(all, func(a, b Query) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// All returns the saved queries of this program by name, those at fault too. The caller
// owns the slice but not what its queries share.
func All() []Query { return slices.Clone(known()) }

// Named returns the saved query of a SourceTable; false where it names none. One that is
// not known or at fault is an error that says what may be done.
func Named(source string) (Query, bool, error) {
	name, saved := strings.CutPrefix(source, Prefix)
	if !saved {
		return Query{}, false, nil
	}
	names := make([]string, 0, len(known()))
	for _, q := range known() {
		if q.Name == name {
			return q, true, q.Err
		}
		if strings.EqualFold(q.Name, name) {
			return Query{}, true, fmt.Errorf("%q is written %s", source, q.Source())
		}
		names = append(names, q.Name)
	}
	return Query{}, true, fmt.Errorf("no saved query %q is shipped with this app, which has %s; add one as %s/%s%s", name, strings.Join(names, ", "), folder, name, extension)
}
