package kusto

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// maxRequestBytes bounds a request's body, inline data included.
const maxRequestBytes = 64 << 20

// Server is a cluster on an address.
type Server struct {
	URL string // such as https://127.0.0.1:41013, for engine and ingestion alike

	http *http.Server
	done sync.WaitGroup
}

// Serve listens on a free port of 127.0.0.1. A nil config serves plain http; the
// SDKs send no token there.
func Serve(c *Cluster, config *tls.Config) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for kusto: %w", err)
	}
	s := &Server{
		URL:  "https://" + listener.Addr().String(),
		http: &http.Server{Handler: c.Handler(), ErrorLog: log.New(io.Discard, "", 0)}, // handshakes of clients that went away
	}
	if config == nil {
		s.URL = "http://" + listener.Addr().String()
		s.done.Go(func() { _ = s.http.Serve(listener) }) // always http.ErrServerClosed, after Close
		return s, nil
	}
	s.http.TLSConfig = config.Clone()
	s.done.Go(func() { _ = s.http.ServeTLS(listener, "", "") })
	return s, nil
}

// Close ends the listener and every connection at once. The cluster goes on.
func (s *Server) Close() error {
	err := s.http.Close()
	s.done.Wait()
	return err
}

// Handler serves the cluster's REST endpoints.
func (c *Cluster) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/rest/auth/metadata", c.metadata)
	mux.HandleFunc("POST /v1/rest/mgmt", c.endpoint(c.serveCommand))
	mux.HandleFunc("POST /v1/rest/query", c.endpoint(c.serveQueryV1))
	mux.HandleFunc("POST /v2/rest/query", c.endpoint(c.serveQueryV2))
	mux.HandleFunc("POST /v1/rest/ingest/{database}/{table}", c.endpoint(
		func(*exchange) error {
			return badRequest("BadRequest_StreamingIngestionNotSupported", "Streaming ingestion is not supported by the local cluster; use queued ingestion.")
		}))
	return mux
}

// exchange is one request and where its answer goes.
type exchange struct {
	w         http.ResponseWriter
	r         *http.Request
	who       caller
	database  string
	text      string
	options   options
	parameter map[string]string
	answered  time.Time // by the cluster's clock
}

// endpoint checks the token, decodes the body, and writes what serve refuses.
//
// The body is read to its end before anything is answered: azkustodata 1.2.3 gives
// its buffer to the next request as soon as it sees an answer, even while this one's
// is still being sent from it.
func (c *Cluster) endpoint(serve func(*exchange) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{w: w, r: r, options: defaultOptions(), answered: c.opts.Now()}
		w.Header().Set("x-ms-client-request-id", x.requestID())
		w.Header().Set("x-ms-activity-id", newID())
		body, readErr := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
		err := c.authenticate(x)
		if err == nil && !strings.HasPrefix(r.URL.Path, "/v1/rest/ingest/") {
			err = x.decode(body, readErr)
		}
		if err == nil {
			err = serve(x)
		}
		if err == nil || r.Context().Err() != nil {
			return
		}
		e := refusal(err)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case e.Status == http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Bearer authorization_uri="https://login.microsoftonline.com/common", resource_id="https://kusto.kusto.windows.net"`)
			w.Header().Del("Content-Type")
		case e.Status == 0:
			e.Status = http.StatusBadRequest
		}
		w.WriteHeader(e.Status)
		if e.Status != http.StatusUnauthorized { // the service's 401 has no body
			_, _ = w.Write(e.body(c.opts.Now(), x.requestID())) // the client may be gone
		}
	}
}

func (c *Cluster) authenticate(x *exchange) error {
	if c.opts.Authorize == nil {
		x.who = caller{principal: "anonymous", open: true}
		return nil
	}
	bearer, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
	if ok && bearer != "" {
		principal, err := c.opts.Authorize(bearer)
		if err == nil {
			x.who = caller{principal: principal}
			return nil
		}
	}
	return &Error{Status: http.StatusUnauthorized, Code: "Unauthorized", Text: "The bearer token is missing or not accepted."}
}

func (x *exchange) requestID() string { return x.r.Header.Get("x-ms-client-request-id") }

// decode reads the request's JSON; err is what ended the reading of the body.
func (x *exchange) decode(body []byte, err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return badRequest("General_BadRequest", "Request body exceeds %d bytes.", tooLarge.Limit)
	}
	if err == nil && x.r.Header.Get("Content-Encoding") == "gzip" {
		var unzipped *gzip.Reader
		if unzipped, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(io.LimitReader(unzipped, maxRequestBytes))
		}
	}
	var request struct {
		DB         string          `json:"db"`
		CSL        string          `json:"csl"`
		Properties json.RawMessage `json:"properties"`
	}
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	switch {
	case err != nil:
		return badRequest("General_BadRequest", "Request body is not valid JSON.")
	case strings.TrimSpace(request.CSL) == "":
		return badRequest("BadRequest_EmptyRequest", "Query or command text is empty.")
	}
	x.database, x.text = request.DB, request.CSL
	return x.properties(request.Properties)
}

// properties reads the request's properties, an object or a string that holds one.
func (x *exchange) properties(raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	var p struct {
		Options    map[string]any
		Parameters map[string]any
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return badRequest("General_BadRequest", "Request properties are not valid JSON.")
	}
	for name, value := range p.Options {
		if err := x.options.set(name, value); err != nil {
			return err
		}
	}
	x.parameter = make(map[string]string, len(p.Parameters))
	for name, v := range p.Parameters {
		if s, ok := v.(string); ok {
			x.parameter[name] = s
			continue
		}
		literal, err := json.Marshal(v)
		if err != nil {
			return badRequest("General_BadRequest", "Query parameter '%s' is not valid.", name)
		}
		x.parameter[name] = string(literal)
	}
	return nil
}

// query prepares the exchange's text for the evaluator. late is a fault that shows
// only behind the rows.
func (c *Cluster) query(x *exchange) (q engine.Query, late *Error, err error) {
	if hook := c.currentFaults().Query; hook != nil {
		if err := hook(x.database, x.text); err != nil {
			if late = refusal(err); !late.Late {
				return q, nil, late
			}
		}
	}
	text, err := x.options.statements(x.text)
	if err != nil {
		return q, nil, err
	}
	now := c.opts.Now()
	if !x.options.now.IsZero() {
		now = x.options.now
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	db, err := c.database(x.database)
	if x.database == "" || x.database == managementDatabase {
		db, err = c.standing()
	}
	if err != nil {
		return q, nil, err
	}
	if !x.who.mayRead(db) {
		return q, nil, unreadable(x.who, db)
	}
	cat := db.catalogAt(true, c.readableUntil(x), c.memberOf(x.who))
	c.nameOthers(cat, db, x.who, c.readableUntil(x))
	q = engine.Query{Text: text, Catalog: cat, Now: now, Parameters: x.parameter, MaxRows: x.options.maxRows}
	if x.options.take >= 0 && x.options.take <= int64(q.MaxRows) {
		q.MaxRows = 0 // taken first, then looked at
	}
	if c.opts.LooseTies {
		q.Ties = rand.Uint64() | 1
	}
	if c.opts.LooseHash {
		q.Hash = rand.Uint64() | 1
	}
	return q, late, cat.checkRestricted(x, db, q)
}

// unreadable is the answer to callers who may not read the database.
func unreadable(who caller, db *database) *Error {
	e := forbidden(who.principal, "DatabaseQuery", db.name)
	e.Type = "Kusto.DataNode.Exceptions.UnauthorizedDatabaseAccessException"
	e.Text = fmt.Sprintf("Principal '%s' is not authorized to read database '%s'.", who.principal, db.name)
	return e
}
