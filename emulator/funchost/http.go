package funchost

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// maxRequestBytes is the host's limit for request bodies. Source: httpTrigger
// reference of Azure Functions.
const maxRequestBytes = 100 << 20

// routes returns the host's own HTTP face: the admin API and the HTTP functions.
// Keys are not asked for, whatever authLevel says, as Core Tools does it.
func (h *Host) routes() http.Handler {
	r := chi.NewRouter()
	r.Get("/admin/host/status", h.serveHostStatus)
	r.Get("/admin/functions", h.serveFunctions)
	r.Get("/admin/functions/{name}", h.serveFunction)
	r.Post("/admin/functions/{name}", h.serveManualRun)
	r.NotFound(h.serveFunctionCall)
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	return r
}

// serveFunctionCall runs the HTTP function that the request is for. No function
// and no function for this method are both 404.
func (h *Host) serveFunctionCall(w http.ResponseWriter, r *http.Request) {
	f, params := h.findRoute(r)
	if f == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if len(r.TransferEncoding) > 0 { // even if nothing is in it: the real host's 500, before the function
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if r.ContentLength > maxRequestBytes {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	// The caller going away must not be felt by the handler, so the request's
	// own context is not used.
	answer, err := h.invokeHTTP(h.work, f, r, params, false)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	answer.writeTo(w)
}

func (h *Host) findRoute(r *http.Request) (*Function, map[string]string) {
	var path []string
	if trimmed := strings.Trim(r.URL.EscapedPath(), "/"); trimmed != "" {
		for _, part := range strings.Split(trimmed, "/") {
			unescaped, err := url.PathUnescape(part)
			if err != nil {
				return nil, nil
			}
			path = append(path, unescaped)
		}
	}
	for _, f := range h.byRoute {
		if f.methods != nil && !slices.Contains(f.methods, r.Method) {
			continue
		}
		if params, ok := f.route.match(path); ok {
			return f, params
		}
	}
	return nil, nil
}

// invokeHTTP runs an HTTP function, by a rebuilt copy of the request where
// host.json allows it, else by the envelope.
func (h *Host) invokeHTTP(ctx context.Context, f *Function, r *http.Request, params map[string]string, manual bool) (httpAnswer, error) {
	inv := &Invocation{ID: uuid.NewString(), Function: f.Name, Manual: manual}
	var answer httpAnswer
	if f.plainHTTP() && h.config.handler.forwardHTTP {
		perform, err := h.forward(r, inv)
		if err != nil {
			return httpAnswer{}, err
		}
		err = h.invoke(ctx, inv, perform, func(r reply) error { answer = r.answer; return nil })
		return answer, err
	}
	e, err := httpEnvelope(f, r, params, time.Now())
	if err != nil {
		return httpAnswer{}, fmt.Errorf("read request for %s: %w", f.Name, err)
	}
	err = h.invoke(ctx, inv, h.postEnvelope(f, inv, e), func(r reply) error {
		// Without a value for the http output the caller gets 204. Source: HTTP
		// trigger reference.
		answer = httpAnswer{status: http.StatusNoContent}
		for _, b := range f.outputs {
			value, ok := r.result.output(b.Name)
			if !ok || !b.is("http") {
				continue
			}
			var err error
			if answer, err = httpOutput(b.Name, value); err != nil {
				return err
			}
		}
		return h.writeQueueOutputs(ctx, f, r.result)
	})
	return answer, err
}

// hopHeaders belong to one connection and are not copied.
var hopHeaders = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

func copyHeaders(header http.Header) http.Header {
	out := header.Clone()
	for _, name := range hopHeaders {
		out.Del(name)
	}
	return out
}

// forward returns the call of an HTTP function in forwarding mode: same method,
// path, query, headers and Host. The body goes along only if its length was
// announced. Both directions are buffered, redirects are not followed, and any
// status is a success.
func (h *Host) forward(r *http.Request, inv *Invocation) (func(context.Context) (reply, error), error) {
	var body []byte
	if r.ContentLength > 0 {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, fmt.Errorf("read request for %s: %w", inv.Function, err)
		}
	}
	header := copyHeaders(r.Header)
	header.Set("User-Agent", strings.TrimSpace(r.UserAgent()+" "+userAgent))
	setInvocationHeaders(header, inv.ID)
	method, target, host := r.Method, h.handler.address+r.URL.RequestURI(), r.Host
	return func(ctx context.Context) (reply, error) {
		req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
		if err != nil {
			return reply{}, err
		}
		req.Header, req.Host = header, host
		resp, err := h.client.Do(req)
		if err != nil {
			return reply{}, fmt.Errorf("forward to handler: %w", withoutURL(err))
		}
		defer resp.Body.Close()
		content, err := io.ReadAll(resp.Body)
		if err != nil {
			return reply{}, fmt.Errorf("read forwarded response: %w", err)
		}
		return reply{answer: httpAnswer{resp.StatusCode, copyHeaders(resp.Header), content}}, nil
	}, nil
}
