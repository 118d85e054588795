package azurite

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// The proxy is tested byte for byte over a raw connection, for a Go client
// would tidy the request up before the proxy sees it.
func TestFront_HandsRequestsOnByteForByte(t *testing.T) {
	type request struct{ uri, host, encoding, body string }
	got := make(chan request, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.RequestURI, r.Host, r.Header.Get("Accept-Encoding"), string(body)}
	}))
	defer backend.Close()
	target, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := &Front{backend: &http.Transport{DisableCompression: true}}
	defer front.backend.CloseIdleConnections()
	proxy := httptest.NewServer(front.proxy(target))
	defer proxy.Close()

	for _, uri := range []string{
		"/devstoreaccount1%2Fqueue/messages?sig=a%2Bb%3D&se=2026-01-01T00%3A00%3A00Z",
		"/acct/c/a%20b+c%2fd/../e//f?comp=list&prefix=%2F",
		"/acct/c/x;y='1'(2)[3]|\"^`?a=1;b=2&c=%zz&&d",
		"/acct/Table(PartitionKey='p%20q',RowKey='r')",
		"/",
		"/acct?",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(proxy.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(conn, "PUT "+uri+" HTTP/1.1\r\nHost: acct.example:1234\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(conn)
		_ = conn.Close()
		select {
		case r := <-got:
			if want := (request{uri, "acct.example:1234", "", "body"}); r != want {
				t.Errorf("sent %q\ngot  %+v\nwant %+v", uri, r, want)
			}
		default:
			t.Errorf("sent %q: never arrived, answer %q", uri, answer)
		}
	}
}
