package schema

import (
	"slices"
	"strings"
	"sync"

	"github.com/defender2adx/defender2adx/internal/savedquery"
)

var savedQueries = sync.OnceValue(func() []Source {
	var out []Source
	for _, q := range savedquery.All() {
		if q.Err != nil {
			continue // it is refused where somebody names it
		}
		s := Source{
			Name: q.Source(), Short: shortQueryPrefix + q.Name, Destination: q.Destination(), View: q.View(), Kind: Query,
			Key: q.Key, Loads: []string{"Snapshot", "Incr"},
		}
		if q.Load == "Incr" {
			slices.Reverse(s.Loads)
		}
		if q.Watermark != "" {
			s.Watermarks = []string{q.Watermark} // the recommended one first
		}
		for _, c := range q.Columns {
			s.Columns = append(s.Columns, Column(c))
			if c.Type == "datetime" && c.Name != q.Watermark {
				s.Watermarks = append(s.Watermarks, c.Name)
			}
		}
		out = append(out, s)
	}
	return out
})

// SavedQueries returns the saved queries that can be copied, by name. Their limits and
// their app role are those of hunting. The caller owns the slice but not what its
// sources share.
func SavedQueries() []Source { return slices.Clone(savedQueries()) }

// lookupSaved is LookupSource among the saved queries.
func lookupSaved(means func(Source) bool) (Source, bool) {
	if i := slices.IndexFunc(savedQueries(), means); i >= 0 {
		return savedQueries()[i], true
	}
	return Source{}, false
}

// isMeant reports whether a person means the source by a name, in any letter case.
func (s Source) isMeant(name string) bool {
	return strings.EqualFold(name, s.Name) || strings.EqualFold(name, s.Short) || strings.EqualFold(name, s.Destination)
}
