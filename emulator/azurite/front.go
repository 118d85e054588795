package azurite

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// backendIdle is how long the proxy keeps an unused connection to Azurite. Node
// closes one after five seconds; giving up first avoids sending a request into a
// connection that is being closed.
const backendIdle = 2 * time.Second

// Middleware wraps the handler of one service: to count, to delay, to answer
// with a fault instead. It sees requests as the client sent them.
type Middleware func(service Service, next http.Handler) http.Handler

// Front is a TLS reverse proxy with one port per service. The proxy keeps method,
// path and query (escapes included), headers, Host and body as sent, so that
// signatures made for the front's addresses are accepted by Azurite behind it.
type Front struct {
	account Account
	plain   bool
	urls    map[Service]string
	servers []*http.Server
	backend *http.Transport
	done    sync.WaitGroup
}

// NewTLSFront listens on 127.0.0.1 with the certificate of config; an Azurite that
// speaks https itself must be trusted by config's RootCAs. A nil middleware adds
// nothing. The caller closes the front before it stops a.
func NewTLSFront(a *Azurite, config *tls.Config, middleware Middleware) (*Front, error) {
	return newFront(a, false, config, middleware)
}

// NewPlainFront speaks http on 127.0.0.1 in front of an Azurite that speaks https,
// for clients that cannot be told to trust its certificate: signatures made with
// the account's key cover neither scheme nor port. Azurite's certificate must be
// trusted by config's RootCAs.
func NewPlainFront(a *Azurite, config *tls.Config) (*Front, error) {
	return newFront(a, true, config, nil)
}

func newFront(a *Azurite, plain bool, config *tls.Config, middleware Middleware) (*Front, error) {
	f := &Front{
		plain:   plain,
		account: a.account,
		urls:    make(map[Service]string, len(Services())),
		backend: &http.Transport{
			DisableCompression: true, // or the transport would unpack what the client asked to be packed
			IdleConnTimeout:    backendIdle,
			TLSClientConfig:    &tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12},
		},
	}
	for _, service := range Services() {
		if err := f.serve(a, service, config, middleware); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

func (f *Front) serve(a *Azurite, service Service, config *tls.Config, middleware Middleware) error {
	target, err := url.Parse(a.URL(service))
	if err != nil {
		return fmt.Errorf("parse azurite %s address: %w", service, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for azurite %s: %w", service, err)
	}
	var handler http.Handler = f.proxy(target)
	if middleware != nil {
		handler = middleware(service, handler)
	}
	server := &http.Server{
		Handler:   handler,
		TLSConfig: config.Clone(),
		// The storage service speaks HTTP/1.1 only.
		Protocols: new(http.Protocols),
		ErrorLog:  log.New(io.Discard, "", 0), // TLS handshakes of clients that went away
	}
	server.Protocols.SetHTTP1(true)
	f.servers = append(f.servers, server)
	scheme, serve := "https", func() error { return server.ServeTLS(listener, "", "") }
	if f.plain {
		scheme, serve = "http", func() error { return server.Serve(listener) }
	}
	f.urls[service] = scheme + "://" + listener.Addr().String() + "/" + f.account.Name
	f.done.Go(func() {
		_ = serve() // always http.ErrServerClosed, after Close
	})
	return nil
}

func (f *Front) proxy(target *url.URL) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: f.backend,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
			// The proxy drops what it cannot parse; the signature covers it all the same.
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			// Opaque is sent as it stands, where Path would be escaped afresh.
			path, _, _ := strings.Cut(r.In.RequestURI, "?")
			if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
				r.Out.URL.Opaque = path
			}
		},
		// Azurite gone, or the client: break the connection, as a host that is
		// gone would, rather than answer in the storage service's name.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
}

// URL returns a service's root with the account in the path and no trailing
// slash, such as https://127.0.0.1:41013/devstoreaccount1.
func (f *Front) URL(service Service) string { return f.urls[service] }

// ConnectionString is Azurite.ConnectionString with the front's addresses.
func (f *Front) ConnectionString() string { return f.account.connectionString(f.URL) }

// Close ends the listeners and every connection at once.
func (f *Front) Close() error {
	var errs []error
	for _, server := range f.servers {
		errs = append(errs, server.Close())
	}
	f.done.Wait()
	f.backend.CloseIdleConnections()
	return errors.Join(errs...)
}
