package kusto

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// policyTitles maps the policies that may be set to the service's names. Policies
// that would change what queries or ingestion answer, and are not built, are
// missing on purpose. Of retention only zero acts.
func policyTitles() map[string]string {
	return map[string]string{
		"retention":              "RetentionPolicy",
		"ingestionbatching":      "IngestionBatchingPolicy",
		"ingestiontime":          "IngestionTimePolicy",
		"caching":                "CachingPolicy",
		"merge":                  "ExtentsMergePolicy",
		"sharding":               "ShardingPolicy",
		"extent_tags_retention":  "ExtentTagsRetentionPolicy",
		"encoding":               "EncodingPolicy",
		"row_level_security":     "RowLevelSecurityPolicy",
		"restricted_view_access": "RestrictedViewAccessPolicy",
		"update":                 "UpdatePolicy",
	}
}

func policyTitle(name string) string {
	if title, ok := policyTitles()[name]; ok {
		return title
	}
	return name
}

// alter answers .alter and .alter-merge.
func (x *execution) alter(verb string) (*result, error) {
	s := x.s
	switch {
	case s.accept("table"):
		name := s.name()
		switch {
		case s.accept("policy"):
			return x.alterPolicies(verb, []string{name})
		case s.peek().Is("(") && verb == "alter-merge":
			return x.alterTable(name)
		case verb == "alter" && s.accept("folder"):
			return x.describeTable(name, "folder")
		case verb == "alter" && s.accept("docstring"):
			return x.describeTable(name, "docstring")
		}
		return nil, x.unknown(verb, "table")
	case s.accept("tables"):
		names := s.names()
		s.want("policy")
		return x.alterPolicies(verb, names)
	case s.accept("database"):
		if name := s.name(); s.err == nil && !strings.EqualFold(name, x.db.name) {
			return nil, entityNotFound("Database", name)
		}
		s.want("policy")
		return x.alterPolicies(verb, nil)
	case s.accept("column"):
		t, i, err := x.column("ColumnPolicyAlter")
		if err != nil {
			return nil, err
		}
		return x.alterEncoding(t, i)
	}
	return nil, x.unknown(verb)
}

func (x *execution) alterTable(name string) (*result, error) {
	columns := x.s.columns()
	properties := x.s.properties()
	if err := x.s.finish(); err != nil {
		return nil, err
	}
	t, err := x.table("TableAlterMerge", name)
	if err != nil {
		return nil, err
	}
	if err := t.merge(columns); err != nil {
		return nil, err
	}
	t.folder, t.doc = describe(properties, t.folder, t.doc)
	return answer(tableColumns, x.tableRow(t)), nil
}

func (x *execution) describeTable(name, property string) (*result, error) {
	text := x.s.literal()
	if err := x.s.finish(); err != nil {
		return nil, err
	}
	t, err := x.table("TableAlter", name)
	if err != nil {
		return nil, err
	}
	t.folder, t.doc = describe(map[string]string{property: text}, t.folder, t.doc)
	return answer(tableColumns, x.tableRow(t)), nil
}

// alterPolicies sets one policy on tables; on the database where no table is named.
func (x *execution) alterPolicies(verb string, tables []string) (*result, error) {
	policy := x.s.word()
	if _, ok := policyTitles()[policy]; !ok || policy == "encoding" {
		return nil, unknownCommand(verb + " … policy " + policy)
	}
	value, merge := x.policyValue(verb, policy)
	if err := x.s.finish(); err != nil {
		return nil, err
	}
	if tables == nil {
		if err := x.require("DatabasePolicyAlter", policy); err != nil {
			return nil, err
		}
		text, err := merged(x.db.policies[policy], value, merge)
		if err != nil {
			return nil, err
		}
		x.db.policies[policy] = text
		return showPolicy(policy, "["+x.db.name+"]", "Database", text), nil
	}
	res := answer("PolicyName,EntityName,Policy,ChildEntities,EntityType")
	for _, name := range tables {
		t, err := x.table("TablePolicyAlter", name)
		if err != nil {
			return nil, err
		}
		text, err := merged(t.policies[policy], value, merge)
		if err != nil {
			return nil, err
		}
		t.policies[policy] = text
		res.rows = append(res.rows, showPolicy(policy, "["+x.db.name+"].["+name+"]", "Table", text).rows...)
	}
	return res, nil
}

// policyValue reads a policy as JSON text, or an object in its short form. merge
// tells that it replaces single keys.
func (x *execution) policyValue(verb, policy string) (value any, merge bool) {
	s := x.s
	merge = verb == "alter-merge"
	tok := s.peek()
	switch {
	case tok.Kind == engine.TokenLiteral && tok.Type == engine.TypeString:
		bad := json.Unmarshal([]byte(s.literal()), &value) != nil
		_, isObject := value.(map[string]any)
		_, isArray := value.([]any)
		switch listed := policy == "extent_tags_retention" || policy == "update"; {
		case bad || listed && !isArray:
			s.fail("the policy is not the JSON that '%s' takes", policy)
		case !listed && !isObject:
			s.fail("the policy is not a JSON object")
		}
	case policy == "restricted_view_access":
		value = map[string]any{"IsEnabled": strings.EqualFold(s.value(), "true")}
	case policy == "row_level_security":
		state := strings.ToLower(s.word())
		if state != "enable" && state != "disable" {
			s.fail("row_level_security is enabled or disabled")
		}
		value = map[string]any{"IsEnabled": state == "enable", "Query": s.literal()}
	case policy == "ingestiontime":
		value = map[string]any{"IsEnabled": strings.EqualFold(s.value(), "true")}
	case policy == "caching":
		s.want("hot")
		s.wantPunct("=")
		span := map[string]any{"Value": s.value()}
		value = map[string]any{"DataHotSpan": span, "IndexHotSpan": span}
	case policy == "retention" && merge:
		value = x.retention()
	default:
		s.fail("a policy as JSON is expected")
	}
	return value, merge
}

func (x *execution) retention() map[string]any {
	s, value := x.s, make(map[string]any)
	for s.err == nil && s.peek().Kind == engine.TokenName {
		switch key := s.word(); key {
		case "softdelete":
			s.wantPunct("=")
			value["SoftDeletePeriod"] = s.value()
		case "recoverability":
			s.wantPunct("=")
			switch setting := strings.ToLower(s.value()); setting {
			case "enabled", "disabled":
				value["Recoverability"] = strings.ToUpper(setting[:1]) + setting[1:]
			default:
				s.fail("recoverability is enabled or disabled")
			}
		default:
			s.fail("unexpected '%s'", key)
		}
	}
	if len(value) == 0 {
		s.fail("softdelete or recoverability is expected")
	}
	return value
}

// merged is a policy's new text.
func merged(old string, value any, merge bool) (string, error) {
	if change, ok := value.(map[string]any); ok && merge && old != "" {
		before := make(map[string]any)
		if err := json.Unmarshal([]byte(old), &before); err != nil {
			return "", err
		}
		maps.Copy(before, change)
		value = before
	}
	text, err := json.Marshal(value)
	return string(text), err
}

// alterEncoding sets how large a column's values may be, for rows to come.
func (x *execution) alterEncoding(t *table, i int) (*result, error) {
	s := x.s
	s.want("policy", "encoding", "type")
	s.wantPunct("=")
	kind := s.literal()
	if err := s.finish(); err != nil {
		return nil, err
	}
	known := false
	for _, name := range []string{"Null", "Identifier", "BigObject", "BigObject32", "BigObjectIndexed32"} {
		if strings.EqualFold(kind, name) && (name != "BigObjectIndexed32" || !x.c.opts.NoIndexedEncoding) {
			kind, known = name, true
		}
	}
	if !known {
		return nil, badRequest("BadRequest_EncodingPolicy", "Encoding policy type '%s' is not supported by the local cluster.", kind)
	}
	columns := append([]column(nil), t.columns...) // queries under way hold the old ones
	columns[i].encoding = kind
	t.columns = columns
	return showPolicy("encoding", "["+x.db.name+"].["+t.name+"].["+columns[i].Name+"]", "Column", encodingPolicy(kind)), nil
}

func encodingPolicy(kind string) string {
	text, _ := json.Marshal(map[string]any{"EncodingPolicyType": kind, "MaxValueSize": column{encoding: kind}.limit()}) // always marshals
	return string(text)
}
