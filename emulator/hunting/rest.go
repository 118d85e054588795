package hunting

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Quota is a group of REST calls that are limited together.
type Quota string

// The quotas. What the service counts apart is counted together here, which is
// stricter. Source: Defender for Endpoint, the pages of the calls; for Graph no limit
// of these calls is published, and Defender's is taken.
const (
	QuotaLists       Quota = "lists"       // of Defender for Endpoint: 100 calls a minute, 1,500 an hour
	QuotaAssessments Quota = "assessments" // assessments as JSON: 30 a minute, 1,000 an hour
	QuotaFiles       Quota = "files"       // file exports: 5 a minute, 20 an hour
	QuotaGraph       Quota = "graph"       // alerts and incidents of Graph: 100 a minute, 1,500 an hour
)

// RESTDefaults returns a quota's limits as published.
func RESTDefaults(q Quota) Limits {
	l := Limits{CallsPerMinute: 100, CallsPerHour: 1500, Minute: time.Minute, Hour: time.Hour}
	switch q {
	case QuotaAssessments:
		l.CallsPerMinute, l.CallsPerHour = 30, 1000
	case QuotaFiles:
		l.CallsPerMinute, l.CallsPerHour = 5, 20
	case QuotaLists, QuotaGraph:
	}
	return l
}

// REST are the switches of lists and file exports. The zero value is what the
// documentation says.
type REST struct {
	Limits map[Quota]Limits // in place of RESTDefaults

	// Shift moves rows of a list while it is read: before each page but the first,
	// another row is taken from its front to its end, or back. A reading alone may
	// then miss rows and meet others twice.
	Shift bool
	// Twins serves the last row of each page once more at the start of the next.
	Twins bool
	// Touch gives the last machine of each page a new lastSeen and its place at the
	// end before the next page is read.
	Touch bool
	// PageRows is how many rows a page of a list holds at most, whatever is asked for;
	// then each page names the next. Zero is the list's own.
	PageRows int
	// Links carries @odata.nextLink in every list that has a further page, and not
	// only in those where it was seen.
	Links bool
	// LinkHost is another host in these links, as no honest service has.
	LinkHost string
	// EmptyLists answers a list without rows with 200, and not with 404.
	EmptyLists bool

	// MovedDevices repeats the rows of the first device in the last file of an
	// export, as those of a device that changed its group.
	MovedDevices bool
	// NoFiles makes exports that hold none, as where there is no data.
	NoFiles bool
	// FileRows is how many rows a file holds at most; zero is 25,000.
	FileRows int
	// SignatureLife is how long the addresses of files are good where the caller asks
	// for no time; zero is an hour. It may be shorter than any that can be asked for.
	SignatureLife time.Duration

	// Shown is told of each page that was served: the list's short name and its rows,
	// which must not be changed. Nil tells nobody.
	Shown func(list string, rows [][]byte)
}

// rest is the state of lists and exports.
type rest struct {
	mu      sync.Mutex
	o       REST
	quotas  map[Quota]*quota
	calls   int64
	exports map[string]*generation // by folder; the newest
	older   []*generation
	cycle   time.Time // start of the exports' present period
	extra   int       // generations that Regenerate asked for
	turned  map[string]int
	key     []byte // signs the addresses of files
}

// SetREST replaces the switches from the next call on.
func (s *Server) SetREST(o REST) {
	s.rest.mu.Lock()
	defer s.rest.mu.Unlock()
	s.rest.o = o
}

// switches are the present ones.
func (s *Server) switches() REST {
	s.rest.mu.Lock()
	defer s.rest.mu.Unlock()
	return s.rest.o
}

func (o REST) limits(q Quota) Limits {
	l, ok := o.Limits[q]
	if !ok {
		return RESTDefaults(q)
	}
	if l.Minute <= 0 {
		l.Minute = time.Minute
	}
	if l.Hour <= 0 {
		l.Hour = time.Hour
	}
	return l
}

// route is a REST call that is served.
type route struct {
	name  string // short, as the log and faults name it
	api   API
	quota Quota
	roles []string // any of which will do
	serve func(c *call, o REST) (*document, *refusal)
}

// document is an answer of 200.
type document struct {
	body []byte
	rows [][]byte // of a page
}

// routeOf finds the call that a path asks for. Defender for Endpoint takes paths in
// any case, and so does Graph.
func routeOf(path string) (route, bool) {
	r, ok := routes()[strings.ToLower(strings.TrimSuffix(path, "/"))]
	return r, ok
}

// serveREST answers a call of a list or of an export.
func (s *Server) serveREST(c *call, r route) {
	o := s.switches()
	c.limits = o.limits(r.quota)
	c.entry = Entry{At: s.o.Wall(), API: r.api, Table: r.name}
	defer func() {
		c.entry.Took = s.o.Wall().Sub(c.entry.At)
		s.counters.endREST(c.entry, c.quotaRefused)
	}()
	// The service's own clock, which a standing tenant's may be far from.
	c.w.Header().Set("Date", s.o.Now().UTC().Format(http.TimeFormat))
	if c.r.Method != http.MethodGet {
		c.w.Header().Set("Allow", http.MethodGet)
		c.refuse(&refusal{status: http.StatusMethodNotAllowed, graph: "Request_BadRequest", mde: "BadRequest", message: "Specified HTTP method is not allowed for the request target."})
		return
	}
	if refused := c.authorize(r.roles); refused != nil {
		c.refuse(refused)
		return
	}
	if c.decide != nil {
		c.fault = c.decide(Call{API: r.api, Number: s.rest.next(), Table: r.name, List: true})
	}
	if !c.pass("") {
		return
	}
	if refused := s.rest.quotas[r.quota].admit(c.limits, s.o.Wall()); refused != nil {
		c.quotaRefused = true
		c.refuse(refused)
		return
	}
	doc, refused := r.serve(c, o)
	if refused != nil {
		c.refuse(refused)
		return
	}
	if o.Shown != nil && doc.rows != nil {
		o.Shown(r.name, doc.rows)
	}
	c.sendDocument(doc)
}

func (r *rest) next() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	return r.calls
}

// sendDocument writes an answer, or as much of it as the fault lets through.
func (c *call) sendDocument(doc *document) {
	h := c.w.Header()
	h.Set("Content-Type", "application/json; odata.metadata=minimal")
	h.Set("OData-Version", "4.0")
	c.entry.Status, c.entry.Rows, c.entry.Bytes = http.StatusOK, len(doc.rows), int64(len(doc.body))
	body := doc.body
	if c.fault.ByteOrderMark {
		body = append([]byte(byteOrderMark), body...)
	}
	reset := c.fault.ResetAt > 0 && c.fault.ResetAt < int64(len(body))
	switch {
	case reset:
		h.Set("Content-Length", strconv.Itoa(len(body)))
		body = body[:c.fault.ResetAt]
	case c.fault.EndAt > 0 && c.fault.EndAt < int64(len(body)):
		body = body[:c.fault.EndAt]
	}
	c.w.WriteHeader(http.StatusOK)
	if !c.transmit(pieces{body}) {
		return
	}
	if reset {
		_ = http.NewResponseController(c.w).Flush() // the break must come behind what was sent
		panic(http.ErrAbortHandler)
	}
}
