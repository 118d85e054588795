package queue

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// message is one message as the service received it.
type message struct {
	Text       string // after base64
	Visibility string // seconds, as in the query
	TTL        string
}

// service is a queue service with one account. It knows the four calls that the
// Sender makes.
type service struct {
	mu       sync.Mutex
	created  bool
	refuse   string // error code of every answer, with status
	status   int
	messages []message
	auth     []string // Authorization headers
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth = append(s.auth, r.Header.Get("Authorization"))
	path := strings.TrimPrefix(r.URL.Path, "/account")
	switch {
	case s.refuse != "":
		storageError(w, s.status, s.refuse)
	case r.Method == http.MethodPut && path == "/migrations":
		if s.created {
			storageError(w, http.StatusConflict, "QueueAlreadyExists")
			return
		}
		s.created = true
		w.WriteHeader(http.StatusCreated)
	case !s.created:
		storageError(w, http.StatusNotFound, "QueueNotFound")
	case r.Method == http.MethodPost && path == "/migrations/messages":
		var body struct{ MessageText string }
		err := xml.NewDecoder(r.Body).Decode(&body)
		text, decodeErr := base64.StdEncoding.DecodeString(body.MessageText)
		if err != nil || decodeErr != nil {
			storageError(w, http.StatusBadRequest, "InvalidXmlDocument")
			return
		}
		q := r.URL.Query()
		s.messages = append(s.messages, message{string(text), q.Get("visibilitytimeout"), q.Get("messagettl")})
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `<?xml version="1.0" encoding="utf-8"?><QueueMessagesList><QueueMessage><MessageId>m</MessageId>`+
			`<InsertionTime>Mon, 02 Mar 2026 10:00:00 GMT</InsertionTime><ExpirationTime>Mon, 09 Mar 2026 10:00:00 GMT</ExpirationTime>`+
			`<PopReceipt>p</PopReceipt><TimeNextVisible>Mon, 02 Mar 2026 10:00:00 GMT</TimeNextVisible></QueueMessage></QueueMessagesList>`)
	case r.Method == http.MethodGet && path == "/migrations/messages" && r.URL.Query().Get("peekonly") == "true":
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, `<?xml version="1.0" encoding="utf-8"?><QueueMessagesList>`)
		most, _ := strconv.Atoi(r.URL.Query().Get("numofmessages"))
		for _, m := range s.messages[:min(most, len(s.messages))] {
			if m.Visibility == "0" || m.Visibility == "" {
				fmt.Fprint(w, `<QueueMessage><MessageId>m</MessageId><DequeueCount>0</DequeueCount><MessageText>eA==</MessageText></QueueMessage>`)
			}
		}
		fmt.Fprint(w, `</QueueMessagesList>`)
	case r.Method == http.MethodGet && r.URL.Query().Get("comp") == "metadata":
		w.Header().Set("X-Ms-Approximate-Messages-Count", fmt.Sprint(len(s.messages)))
		w.WriteHeader(http.StatusOK)
	default:
		storageError(w, http.StatusNotImplemented, "UnexpectedRequest")
	}
}

func storageError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Ms-Error-Code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>no</Message></Error>`, code)
}

func newSender(t *testing.T, s *service) *Sender {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	key := base64.StdEncoding.EncodeToString([]byte("account key"))
	sender, err := NewSender(secret.New("AccountName=account;AccountKey="+key+";QueueEndpoint="+server.URL+"/account"), "migrations", Options{})
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

var wakeUp = plan.WakeUp{Key: plan.Key{Instance: "contoso", Source: "DeviceInfo"}, Trigger: plan.Scheduled}

const wakeUpText = `{"instance":"contoso","table":"DeviceInfo","trigger":"scheduled"}`

func TestSender_Send_DelaysByWholeSecondsUpToAnHour(t *testing.T) {
	s := &service{created: true}
	sender := newSender(t, s)
	var want []message
	for _, tt := range []struct {
		delay time.Duration
		want  string
	}{
		{0, "0"},
		{-time.Minute, "0"},
		{time.Nanosecond, "1"},
		{time.Second, "1"},
		{1500 * time.Millisecond, "2"},
		{time.Hour, "3600"},
		{25 * time.Hour, "3600"},
	} {
		if err := sender.Wake(t.Context(), wakeUp, tt.delay); err != nil {
			t.Fatalf("Send with delay %v: %v", tt.delay, err)
		}
		want = append(want, message{wakeUpText, tt.want, "604800"})
	}
	if diff := cmp.Diff(want, s.messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestSender_Send_MakesAMissingQueue(t *testing.T) {
	s := &service{}
	if err := newSender(t, s).Wake(t.Context(), wakeUp, 0); err != nil {
		t.Fatal(err)
	}
	if !s.created || len(s.messages) != 1 {
		t.Errorf("created %v, %d messages", s.created, len(s.messages))
	}
}

func TestSender_Create_ToleratesAnExistingQueueOnly(t *testing.T) {
	if err := newSender(t, &service{created: true}).Create(t.Context()); err != nil {
		t.Errorf("existing queue: %v", err)
	}
	err := newSender(t, &service{status: 409, refuse: "QueueBeingDeleted"}).Create(t.Context())
	if err == nil || !strings.Contains(err.Error(), "QueueBeingDeleted") {
		t.Errorf("queue being deleted: got %v", err)
	}
}

func TestSender_Backlog(t *testing.T) {
	s := &service{}
	sender := newSender(t, s)
	for n, delay := range []time.Duration{0, time.Hour, 0} {
		want := plan.Backlog{All: n, Ready: (n + 1) / 2}
		got, err := sender.Backlog(t.Context())
		if err != nil || got != want {
			t.Errorf("Backlog: got %+v, %v; want %+v", got, err, want)
		}
		if err := sender.Wake(t.Context(), wakeUp, delay); err != nil {
			t.Fatal(err)
		}
	}
	s.messages = slices.Repeat(s.messages[:1], 40)
	if got, err := sender.Backlog(t.Context()); err != nil || got != (plan.Backlog{All: 40, Ready: plan.MostReady}) {
		t.Errorf("Backlog: got %+v, %v", got, err)
	}
}

func TestSender_ExplainsRefusalsInOneLine(t *testing.T) {
	sender := newSender(t, &service{status: 403, refuse: "AuthorizationPermissionMismatch"})
	_, depthErr := sender.Backlog(t.Context())
	for _, err := range []error{sender.Wake(t.Context(), wakeUp, 0), sender.Create(t.Context()), depthErr} {
		if err == nil || strings.Contains(err.Error(), "\n") ||
			strings.Count(err.Error(), `queue "migrations"`) != 1 || strings.Count(err.Error(), "HTTP") != 1 ||
			!strings.Contains(err.Error(), "HTTP 403 AuthorizationPermissionMismatch") ||
			!strings.Contains(err.Error(), "Storage Queue Data Contributor") {
			t.Errorf("got error %v", err)
		}
		if got := fault.KindOf(err); got != fault.Retry {
			t.Errorf("kind of %v: got %v, want retry", err, got)
		}
	}
}

func TestSender_Send_MalformedWakeUpIsPermanent(t *testing.T) {
	s := &service{created: true}
	err := newSender(t, s).Wake(t.Context(), plan.WakeUp{Key: plan.Key{Source: "T"}, Trigger: "hourly"}, 0)
	if got := fault.KindOf(err); got != fault.Permanent || len(s.messages) != 0 {
		t.Errorf("got %v of kind %v, %d messages", err, got, len(s.messages))
	}
}

// unreachable fails every request as a network does, with the URL in the error.
type unreachable struct{}

func (unreachable) Do(r *http.Request) (*http.Response, error) {
	return (&http.Client{Transport: unreachable{}}).Do(r)
}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, nonRetriable{}
}

// nonRetriable spares the test the SDK's pauses between attempts.
type nonRetriable struct{}

func (nonRetriable) Error() string { return "no route to host" }
func (nonRetriable) NonRetriable() {}

func TestSender_ErrorsShowNoSignature(t *testing.T) {
	sender, err := NewSender(secret.New("QueueEndpoint=https://account.queue.example;SharedAccessSignature=sv=2026&sig=confidential"), "migrations", Options{Transport: unreachable{}})
	if err != nil {
		t.Fatal(err)
	}
	err = sender.Wake(t.Context(), wakeUp, 0)
	if err == nil || strings.Contains(err.Error(), "confidential") || !strings.Contains(err.Error(), "no route to host") {
		t.Errorf("got error %v", err)
	}
}

func TestNewSender_RefusesABadConnectionStringWithoutQuotingIt(t *testing.T) {
	for _, text := range []string{"", "confidential", "AccountName=a;AccountKey=confidential!", "AccountKey=confidential"} {
		sender, err := NewSender(secret.New(text), "migrations", Options{})
		if err == nil || strings.Contains(err.Error(), "confidential") || !strings.Contains(err.Error(), "migrations") {
			t.Errorf("connection string %q: got %v, %v", text, sender, err)
		}
	}
}

func TestNewSender_KnowsTheShortFormForTheEmulator(t *testing.T) {
	sender, err := NewSender(secret.New(" UseDevelopmentStorage=true; "), "migrations", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sender.client.URL(), "http://127.0.0.1:10001/devstoreaccount1/migrations"; got != want {
		t.Errorf("URL: got %s, want %s", got, want)
	}
}

type fixedToken string

func (f fixedToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(f), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestNewSenderWithCredential_SendsWithAToken(t *testing.T) {
	s := &service{created: true}
	server := httptest.NewTLSServer(s)
	defer server.Close()
	sender, err := NewSenderWithCredential(server.URL+"/account/", "migrations", fixedToken("abc"), Options{Transport: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Wake(t.Context(), wakeUp, 0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Bearer abc"}, s.auth); diff != "" {
		t.Errorf("authorization (-want +got):\n%s", diff)
	}
}

func TestNewSenderWithCredential_RefusesABadURL(t *testing.T) {
	for _, text := range []string{"", "account", "http://account.queue.example", "https://account.queue.example?sig=confidential", "https://u:confidential@host"} {
		_, err := NewSenderWithCredential(text, "migrations", fixedToken(""), Options{})
		if err == nil || strings.Contains(err.Error(), "confidential") {
			t.Errorf("URL %q: got error %v", text, err)
		}
	}
}

// header keeps the version of the storage API that a request asks for.
type header struct{ version string }

func (h *header) Do(r *http.Request) (*http.Response, error) {
	for name, values := range r.Header {
		if strings.EqualFold(name, "x-ms-version") {
			h.version += strings.Join(values, ",")
		}
	}
	return nil, errors.New("not sent")
}

// Clouds other than the global one refuse a version that they do not know yet.
func TestScenario_C8_OtherCloudsAreAskedForAVersionTheyHave(t *testing.T) {
	for suffix, older := range map[string]bool{"core.windows.net": false, "core.usgovcloudapi.net": true, "core.chinacloudapi.cn": true} {
		h := &header{}
		text := "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + base64.StdEncoding.EncodeToString([]byte("k")) + ";EndpointSuffix=" + suffix
		s, err := NewSender(secret.New(text), "migrations", Options{Transport: h})
		if err != nil {
			t.Fatal(err)
		}
		ctx, done := context.WithTimeout(t.Context(), 50*time.Millisecond) // not for the SDK's retries
		_ = s.Wake(ctx, plan.WakeUp{Key: plan.Key{Source: "DeviceInfo"}, Trigger: plan.Scheduled}, 0)
		done()
		if got := h.version == olderVersion; got != older || h.version == "" {
			t.Errorf("%s: version %q, want the older one: %v", suffix, h.version, older)
		}
	}
}
