package funchost

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// routeTemplate is an ASP.NET Core route template, as far as this host knows
// them: literals, {name}, {name?}, {name:int}, {name:int?} and {*rest}. Anything
// else (defaults, other constraints, literals mixed with parameters) is refused.
type routeTemplate []routeSegment

type routeSegment struct {
	literal  string // lower case; set if name is empty
	name     string
	integer  bool
	optional bool
	rest     bool // takes all that is left, slashes included
}

var routeParameter = regexp.MustCompile(`^\{(\*?)([A-Za-z_][A-Za-z0-9_]*)(:int)?(\??)\}$`)

func parseRoute(text string) (routeTemplate, error) {
	var template routeTemplate
	if text == "" {
		return template, nil
	}
	parts := strings.Split(text, "/")
	for i, part := range parts {
		if !strings.ContainsAny(part, "{}*?") {
			if n := len(template); n > 0 && template[n-1].optional {
				return nil, fmt.Errorf("route %q: nothing but optional segments may follow %s", text, parts[i-1])
			}
			template = append(template, routeSegment{literal: strings.ToLower(part)})
			continue
		}
		m := routeParameter.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("route %q: segment %q is not supported by the local host", text, part)
		}
		segment := routeSegment{rest: m[1] != "", name: m[2], integer: m[3] != "", optional: m[4] != ""}
		if segment.rest && i != len(parts)-1 {
			return nil, fmt.Errorf("route %q: %s must be the last segment", text, part)
		}
		if n := len(template); n > 0 && template[n-1].optional && !segment.optional {
			return nil, fmt.Errorf("route %q: nothing but optional segments may follow %s", text, parts[i-1])
		}
		template = append(template, segment)
	}
	return template, nil
}

// match compares the segments of a path, already unescaped. Literals are compared
// without case. A parameter that the path leaves out is absent from params.
func (t routeTemplate) match(path []string) (params map[string]string, ok bool) {
	params = make(map[string]string)
	for i, segment := range t {
		if segment.rest {
			if i < len(path) {
				params[segment.name] = strings.Join(path[i:], "/")
			}
			return params, true
		}
		if i >= len(path) {
			// What follows an optional segment is optional, too.
			return params, segment.optional
		}
		switch {
		case segment.name == "":
			if !strings.EqualFold(segment.literal, path[i]) {
				return nil, false
			}
			continue
		case path[i] == "":
			return nil, false
		case segment.integer:
			if _, err := strconv.ParseInt(path[i], 10, 32); err != nil {
				return nil, false
			}
		}
		params[segment.name] = path[i]
	}
	return params, len(path) == len(t)
}

// before tells whether t is tried before other: segment by segment literals go
// before constrained parameters, those before free ones, those before {*rest}.
func (t routeTemplate) before(other routeTemplate) bool {
	for i := range min(len(t), len(other)) {
		if a, b := t[i].rank(), other[i].rank(); a != b {
			return a < b
		}
	}
	return len(t) < len(other)
}

func (s routeSegment) rank() int {
	switch {
	case s.name == "":
		return 0
	case s.rest:
		return 3
	case s.integer:
		return 1
	}
	return 2
}
