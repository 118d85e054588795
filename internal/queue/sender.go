package queue

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2/queueerror"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

const (
	// maxDelay is the longest time a wake-up sleeps in the queue. Longer waits are
	// kept in the table's own state and looked at again then.
	maxDelay = time.Hour
	// timeToLive is how long an unread message is kept. Source: default of the
	// queue service.
	timeToLive = 7 * 24 * time.Hour
)

// Options of a Sender.
type Options struct {
	// Transport carries the requests; nil is the SDK's own.
	Transport policy.Transporter
	// EachTry see each try of a request, signed, and its answer.
	EachTry []policy.Policy
}

func (o Options) client() *azqueue.ClientOptions {
	return &azqueue.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: o.Transport, PerCallPolicies: []policy.Policy{versionPolicy{}}, PerRetryPolicies: o.EachTry,
	}}
}

// olderVersion is a version of the storage API that every cloud has had for years
// and that has all a Sender uses. Clouds other than the global one get new versions
// months later, and refuse those they do not know.
const olderVersion = "2021-12-02"

// versionPolicy asks for olderVersion where the account is not in the global cloud.
// It runs before the request is signed.
type versionPolicy struct{}

func (versionPolicy) Do(r *policy.Request) (*http.Response, error) {
	if host := r.Raw().URL.Hostname(); !strings.HasSuffix(host, ".core.windows.net") && !address.IsLoopback(host) {
		r.Raw().Header["x-ms-version"] = []string{olderVersion} // as the SDK spells it, which signs it so
	}
	return r.Next()
}

// Sender sends wake-ups to one queue. It is safe for concurrent use.
type Sender struct {
	queue  string
	client *azqueue.QueueClient
}

// NewSender returns a Sender for a queue of the account that a connection string
// names. UseDevelopmentStorage=true names the local emulator.
func NewSender(connectionString secret.String, queue string, o Options) (*Sender, error) {
	client, err := azqueue.NewQueueClientFromConnectionString(address.ExpandStorage(connectionString.Reveal()), queue, o.client())
	if err != nil {
		// The SDK's words quote nothing of the string; a wrong key is reported by
		// its decoder, with the position only.
		return nil, fmt.Errorf("queue %q: read the connection string: %w", queue, err)
	}
	return &Sender{queue: queue, client: client}, nil
}

// NewSenderWithCredential returns a Sender for a queue of the account whose queue
// service is at serviceURL, as in https://account.queue.core.windows.net. The
// identity needs the role Storage Queue Data Contributor.
func NewSenderWithCredential(serviceURL, queue string, credential azcore.TokenCredential, o Options) (*Sender, error) {
	u, err := url.Parse(serviceURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("queue %q: want an https URL of the queue service without query", queue)
	}
	client, err := azqueue.NewQueueClient(u.JoinPath(queue).String(), credential, o.client())
	if err != nil {
		return nil, fmt.Errorf("queue %q at %s: %w", queue, u.Host, err)
	}
	return &Sender{queue: queue, client: client}, nil
}

// Wake puts w on the queue, visible after delay: a negative one counts as none,
// one over an hour as an hour, a part of a second as a whole one. A queue that
// does not exist is made first. The text is base64, as host.json tells the host.
//
// A wake-up that fails its validation is a fault.Permanent. Every other error may
// mean that the message was sent all the same; sending it twice is harmless.
func (s *Sender) Wake(ctx context.Context, w plan.WakeUp, delay time.Duration) error {
	text, err := Text(w)
	if err != nil {
		return fault.As(fault.Permanent, err)
	}
	content := base64.StdEncoding.EncodeToString([]byte(text))
	visibility := int32((min(max(delay, 0), maxDelay) + time.Second - 1) / time.Second)
	life := int32(timeToLive / time.Second)
	options := &azqueue.EnqueueMessageOptions{VisibilityTimeout: &visibility, TimeToLive: &life}

	_, err = s.client.EnqueueMessage(ctx, content, options)
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		if err := s.Create(ctx); err != nil {
			return err
		}
		_, err = s.client.EnqueueMessage(ctx, content, options)
	}
	return s.explain("send wake-up for "+w.Key.Source, err)
}

// Create makes the queue unless it exists. The host never does and polls in vain
// until somebody has.
func (s *Sender) Create(ctx context.Context) error {
	_, err := s.client.Create(ctx, nil)
	if queueerror.HasCode(err, queueerror.QueueAlreadyExists) {
		return nil
	}
	return s.explain("create queue", err)
}

// Backlog counts what the queue holds. A queue that does not exist holds nothing.
func (s *Sender) Backlog(ctx context.Context) (plan.Backlog, error) {
	properties, err := s.client.GetProperties(ctx, nil)
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		return plan.Backlog{}, nil
	}
	if err != nil {
		return plan.Backlog{}, s.explain("count messages", err)
	}
	if properties.ApproximateMessagesCount == nil {
		return plan.Backlog{}, fmt.Errorf("queue %q: count messages: the service names no number", s.queue)
	}
	ready, err := s.client.PeekMessages(ctx, &azqueue.PeekMessagesOptions{NumberOfMessages: to.Ptr(int32(plan.MostReady))})
	if err != nil {
		return plan.Backlog{}, s.explain("look at messages", err)
	}
	return plan.Backlog{All: int(*properties.ApproximateMessagesCount), Ready: len(ready.Messages)}, nil
}

// explain turns an error of the SDK into one line with queue and cause. It leaves
// out URLs, which hold a signature when the connection string does. None counts
// as permanent: delivering a message again is the best way to put it off when
// sending another one fails.
func (s *Sender) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	var response *azcore.ResponseError
	if errors.As(err, &response) {
		text := fmt.Sprintf("queue %q: %s: HTTP %d %s", s.queue, doing, response.StatusCode, response.ErrorCode)
		if response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusUnauthorized {
			text += "; the app needs the role Storage Queue Data Contributor on the storage account, or a connection string with a valid key"
		}
		return errors.New(text)
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fmt.Errorf("queue %q: %s: %w", s.queue, doing, err)
}
