package adx

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/kql"
)

// Encoding policies of a column. Source: Kusto, alter encoding policy.
const (
	indexed32 = "BigObjectIndexed32" // 32 MB and an index; in preview, so a cluster may refuse it
	big32     = "BigObject32"        // 32 MB and no index
	big2      = "BigObject"          // 2 MB and no index
	noProfile = "Null"               // the default: an index, and 1 MB
)

// defaultRowLimit is what a dynamic column keeps under the default encoding, in
// bytes. Source: Kusto, encoding policy, MaxValueSize.
const defaultRowLimit = 1 << 20

// bigTables are the raw tables of the catalogue, less an instance's prefix, whose rows are known to exceed a
// megabyte: where the indexed profile is refused, size goes before index. Source:
// free-form columns (RawEventData, NodeProperties and the like) of their schemas.
var bigTables = []string{"AIAgentsInfoRaw", "CloudAppEventsRaw", "ExposureGraphEdgesRaw", "ExposureGraphNodesRaw"}

// encoding is what a table says of its column Records; the zero value is unreadable.
type encoding struct {
	profile string // "" where the column has the default
	limit   int64  // bytes of one value; 0 where it is not said
}

// RowLimit returns how many bytes a row of the raw table may have, which is for ADX
// a value of the column Records: larger ones become null there. A viewer may ask. An
// answer that cannot be understood, or is refused, counts as the default's 1 MB.
func (c *Client) RowLimit(ctx context.Context, table string) (int64, error) {
	e, err := c.encodingOf(ctx, table)
	if err != nil {
		if fault.KindOf(err) == fault.Permanent {
			return defaultRowLimit, nil
		}
		return 0, err
	}
	switch {
	case e.limit > 0:
		return e.limit, nil
	case e.profile == big32 || e.profile == indexed32:
		return 32 << 20, nil
	case e.profile == big2:
		return 2 << 20, nil
	}
	return defaultRowLimit, nil
}

// encodingOf asks the table and, where its answer says nothing of the column, the
// column.
func (c *Client) encodingOf(ctx context.Context, table string) (encoding, error) {
	e, ok, err := c.encodingBy(ctx, "table "+kql.Name(table), false)
	if err == nil && !ok {
		if e, _, err = c.encodingBy(ctx, "column "+kql.Name(table)+".['Records']", true); fault.KindOf(err) == fault.Permanent {
			return encoding{}, nil
		}
	}
	return e, err
}

func (c *Client) encodingBy(ctx context.Context, entity string, ofColumn bool) (e encoding, ok bool, err error) {
	type answer struct {
		Entity   string `kusto:"EntityName"`
		Policy   string `kusto:"Policy"`
		Children string `kusto:"ChildEntities"`
	}
	found, err := command[answer](ctx, c, viewers, ".show "+entity+" policy encoding")
	if err != nil {
		return encoding{}, false, err
	}
	for _, a := range found {
		own := ofColumn || a.Entity == "Records" || strings.HasSuffix(a.Entity, "[Records]") || strings.HasSuffix(a.Entity, ".Records")
		for _, text := range []string{a.Policy, a.Children} {
			if e, ok := readEncoding(text, own); ok {
				return e, true, nil
			}
		}
	}
	return encoding{}, false, nil
}

// readEncoding finds the policy of Records in a policy's JSON: as the policy itself
// of a row that is the column's own, or anywhere in one that covers the table, under
// the column's name or beside it.
func readEncoding(text string, own bool) (encoding, bool) {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return encoding{}, false
	}
	return findEncoding(value, own)
}

func findEncoding(value any, own bool) (encoding, bool) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			if e, ok := findEncoding(item, own); ok {
				return e, true
			}
		}
	case map[string]any:
		for _, member := range v {
			own = own || member == "Records"
		}
		profile, named := v["EncodingPolicyType"].(string)
		size, sized := v["MaxValueSize"].(float64)
		if own && (named || sized) {
			if strings.EqualFold(profile, noProfile) {
				profile = ""
			}
			return encoding{profile: profile, limit: max(int64(size), 0)}, true
		}
		for name, member := range v {
			if e, ok := findEncoding(member, own || name == "Records"); ok {
				return e, true
			}
		}
	}
	return encoding{}, false
}

// encode gives the column Records of a raw table room for large rows: the indexed
// profile where the cluster takes it. Where it does not, a column without an index
// stays as it is, a big table that has just been made goes without one, and the
// default stays. It returns what was done, "" where nothing was.
func (s *setup) encode(ctx context.Context, table string) (done string, err error) {
	now, err := s.client.encodingOf(ctx, table)
	if err != nil {
		return "", err
	}
	alter := func(profile string) error {
		return s.runAll(ctx, []string{".alter column " + kql.Name(table) + ".['Records'] policy encoding type = '" + profile + "'"})
	}
	if slices.Contains(s.index, table) {
		if now.profile == "" {
			return "", nil
		}
		return "Records has the default encoding: an index, and rows of 1 MB", alter(noProfile)
	}
	if now.profile == indexed32 {
		return "", nil
	}
	if !s.noIndexed32 {
		err := alter(indexed32)
		if err == nil {
			return "Records takes rows of 32 MB and is indexed", nil
		}
		if !refusesProfile(err) {
			return "", err
		}
		s.noIndexed32 = true
	}
	_, stood := s.before.Tables[table]
	switch {
	case now.profile == big32:
		s.without = append(s.without, table)
	case !stood && slices.ContainsFunc(bigTables, func(big string) bool { return strings.HasSuffix(table, big) }):
		s.without = append(s.without, table)
		return "Records takes rows of 32 MB", alter(big32)
	}
	return "", nil
}

// refusesProfile reports whether ADX knows the column and not the profile: a missing
// right or name is a fault of its own.
func refusesProfile(err error) bool {
	return fault.KindOf(err) == fault.Permanent && !isActionable(err)
}

// saySize adds a step that tells what a cluster without the indexed profile means.
func (s *setup) saySize() {
	if !s.noIndexed32 {
		return
	}
	slices.Sort(s.without)
	step := Step{Name: "encoding of Records", Outcome: Note,
		Detail: fmt.Sprintf("this cluster refuses %s: raw tables have the default encoding, an index and rows of 1 MB (larger ones are cut)", indexed32)}
	if len(s.without) > 0 {
		step.Detail += fmt.Sprintf("; but %s, rows of 32 MB and no index: %s", big32, strings.Join(s.without, ", "))
		step.Remedy = "`handler setup --index TABLE` gives one of these the index instead"
	}
	s.add(step)
}
