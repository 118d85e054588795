package funchost

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// The test binary runs itself again as the custom handler; this variable says
// that it is to be one.
const handlerVariable = "FUNCHOST_TEST_HANDLER"

func TestMain(m *testing.M) {
	if os.Getenv(handlerVariable) != "" {
		runHandler()
		return
	}
	os.Exit(m.Run())
}

// seenCall is what the handler saw of one call. It prints it to stdout.
type seenCall struct {
	Method, Path, Host string
	Header             http.Header
	Length             int64
	Body               string
	Env                map[string]string
	Dir                string
}

const seenPrefix = "SEEN "

// runHandler is a custom handler that does what the first word of a message, a
// request body or an HTTP path tells it.
func runHandler() {
	if text := os.Getenv("TEST_EXIT_AT_START"); text != "" {
		fmt.Fprintln(os.Stderr, "giving up at start")
		code, _ := strconv.Atoi(text)
		os.Exit(code)
	}
	if os.Getenv("TEST_SILENT") != "" {
		select {}
	}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	go func() {
		<-terminate
		fmt.Println("got SIGTERM")
		os.Exit(0)
	}()
	var failures atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		dir, _ := os.Getwd()
		seen := seenCall{Method: r.Method, Path: r.URL.String(), Host: r.Host, Header: r.Header, Length: r.ContentLength, Body: string(body), Dir: dir, Env: make(map[string]string)}
		for _, entry := range os.Environ() {
			if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "FUNCTIONS_") || strings.HasPrefix(name, "TEST_") {
				seen.Env[name] = value
			}
		}
		line, _ := json.Marshal(seen)
		fmt.Println(seenPrefix + string(line))
		w.Header().Set("Content-Type", "application/json")
		switch verb, argument, _ := strings.Cut(order(r, body), " "); verb {
		case "fail":
			w.WriteHeader(http.StatusInternalServerError)
		case "failonce":
			if failures.Add(1) == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			} else {
				io.WriteString(w, "{}")
			}
		case "empty":
		case "sniffed":
			w.Header().Del("Content-Type")
			io.WriteString(w, "{}")
		case "hang":
			select {}
		case "exit":
			code, _ := strconv.Atoi(argument)
			os.Exit(code)
		case "say":
			io.WriteString(w, argument)
		case "teapot":
			w.Header().Set("X-Tea", "yes")
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "short and stout")
		case "redirect":
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
		default:
			io.WriteString(w, "{}")
		}
	})
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), mux)
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
}

// order finds the command: the text of a queue message, the body of an HTTP
// envelope, or the last segment of a forwarded path.
func order(r *http.Request, body []byte) string {
	var envelope struct{ Data map[string]json.RawMessage }
	if json.Unmarshal(body, &envelope) != nil || envelope.Data == nil {
		return r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	}
	for _, raw := range envelope.Data {
		var text, inner string
		if json.Unmarshal(raw, &text) == nil && json.Unmarshal([]byte(text), &inner) == nil {
			return inner
		}
		var request struct{ Body string }
		if json.Unmarshal(raw, &request) == nil {
			return request.Body
		}
	}
	return ""
}
