package hunting

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// listing is a list that is read in pages.
type listing struct {
	name    string // of the tenant's list
	context string // what @odata.context names
	most    int    // rows of a page; also where nothing is asked for
	links   bool   // a page names the next one
	capped  bool   // more is given less; otherwise refused
	expand  string // what $expand may name: a list that is empty without it
	empty   bool   // a page without rows is a 404
	filters map[string]kind
}

// page is what a call asks for.
type page struct {
	skip, top int
	want      predicate // nil: every row
	count     bool
	expanded  bool
}

// turns is by how many rows a list that shifts is turned, one step after another.
var turns = [...]int{0, 1, 2, 1}

func (l listing) serve(c *call, o REST) (*document, *refusal) {
	p, refused := l.page(c.r.URL.Query())
	if refused != nil {
		return nil, refused
	}
	if o.PageRows > 0 {
		p.top, o.Links = min(p.top, o.PageRows), true
	}
	all := c.s.listed(l.name, p.skip, o)
	if p.want != nil {
		all = slices.DeleteFunc(slices.Clone(all), func(row []byte) bool { return !p.want(row) })
	}
	from := p.skip
	if o.Twins && p.top > 1 {
		from -= p.skip / p.top
	}
	rows := all[min(from, len(all)):min(from+p.top, len(all))]
	if len(rows) == 0 && l.empty && !o.EmptyLists {
		return nil, &refusal{status: http.StatusNotFound, graph: "ResourceNotFound", mde: "ResourceNotFound", message: "No " + l.name + " were found."}
	}
	if l.expand != "" && !p.expanded {
		bare := make([][]byte, len(rows))
		for i, row := range rows {
			bare[i] = tenant.WithMember(row, l.expand, []byte("[]"))
		}
		rows = bare
	}
	extra := ""
	if p.count {
		extra = fmt.Sprintf(`"@odata.count":%d,`, len(all))
	}
	next := ""
	if from+p.top < len(all) && (l.links || o.Links) {
		next = c.nextLink(o, "$skip", strconv.Itoa(p.skip+p.top), "$top", strconv.Itoa(p.top))
	}
	return &document{body: collection(c.contextOf(l.context), extra, rows, next), rows: rows}, nil
}

// listed gives a list in the order in which the next page is cut from it, after what
// the switches do before a page that is not the first. A page is read with it only.
func (s *Server) listed(name string, skip int, o REST) [][]byte {
	rows := s.o.Tenant.List(name)
	if skip > 0 && o.Touch && name == tenant.Machines && skip <= len(rows) {
		at := s.o.Now().UTC().Format(`"2006-01-02T15:04:05.0000000Z"`)
		touched := tenant.WithMember(rows[skip-1], "lastSeen", []byte(at))
		_ = s.o.Tenant.PutEntity(name, string(touched), true) // what was a row is one
		rows = s.o.Tenant.List(name)
	}
	if !o.Shift || len(rows) == 0 {
		return rows
	}
	s.rest.mu.Lock()
	if skip > 0 {
		s.rest.turned[name]++
	}
	by := turns[s.rest.turned[name]%len(turns)] % len(rows)
	s.rest.mu.Unlock()
	return slices.Concat(rows[by:], rows[:by])
}

// page reads the query options; what the list does not have is refused by its name.
func (l listing) page(q url.Values) (page, *refusal) {
	p := page{top: l.most}
	for name, values := range q {
		value := values[0]
		number := func(least int) (int, *refusal) {
			n, err := strconv.Atoi(value)
			if err != nil || n < least {
				return 0, badFilter("Invalid value '%s' for %s query option found.", value, name)
			}
			return n, nil
		}
		var refused *refusal
		switch {
		case name == "$filter" && l.filters != nil:
			p.want, refused = filter(value, l.filters)
		case name == "$skip":
			p.skip, refused = number(0)
		case name == "$top":
			p.top, refused = number(1)
			switch {
			case refused != nil || p.top <= l.most:
			case l.capped:
				p.top = l.most
			default:
				refused = badFilter("The limit of '%d' for Top query has been exceeded. The value from the incoming request is '%d'.", l.most, p.top)
			}
		case name == "$expand" && l.expand != "" && value == l.expand:
			p.expanded = true
		case name == "$expand":
			refused = badFilter("Could not find a property named '%s' to expand.", value)
		case name == "$count" && l.capped:
			p.count = value == "true"
		case strings.HasPrefix(name, "$"):
			refused = badFilter("Query option '%s' is not allowed.", strings.TrimPrefix(name, "$"))
		}
		if refused != nil {
			return p, refused
		}
	}
	return p, nil
}

// contextOf is the @odata.context of the API that is asked.
func (c *call) contextOf(what string) string {
	if c.api == Graph {
		return "https://graph.microsoft.com/v1.0/$metadata#" + what
	}
	return contextOf(what)
}

// nextLink is the present call's address with some query options in place of its own.
func (c *call) nextLink(o REST, options ...string) string {
	q := c.r.URL.Query()
	for i := 0; i < len(options); i += 2 {
		q.Set(options[i], options[i+1])
	}
	host := c.origin()
	if o.LinkHost != "" {
		host = "https://" + o.LinkHost
	}
	return host + c.r.URL.Path + "?" + q.Encode()
}

// collection is the answer of a list.
func collection(context, extra string, rows [][]byte, next string) []byte {
	b := append([]byte(`{"@odata.context":`), mustJSON(context)...)
	b = append(append(append(b, ','), extra...), `"value":[`...)
	for i, row := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, row...)
	}
	b = append(b, ']')
	if next != "" {
		b = append(append(b, `,"@odata.nextLink":`...), mustJSON(next)...)
	}
	return append(b, '}')
}

// exposureScore is one object and no list. Its time is that of the call, as its page says.
func exposureScore(c *call, _ REST) (*document, *refusal) {
	row := []byte(fmt.Sprintf(`{"time":"%s","score":%g}`, c.s.o.Now().UTC().Format(time.RFC3339Nano), c.s.o.Tenant.ExposureScore()))
	body := append([]byte(`{"@odata.context":`), mustJSON(contextOf("ExposureScore/$entity"))...)
	return &document{body: append(append(body, ','), row[1:]...), rows: [][]byte{row}}, nil
}
