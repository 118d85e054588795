package funchost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2/queueerror"
)

// azureQueue is a messageQueue in Azure Storage or its emulator.
type azureQueue struct{ client *azqueue.QueueClient }

func openQueue(connection, name string) (azureQueue, error) {
	client, err := azqueue.NewQueueClientFromConnectionString(connection, name, nil)
	if err != nil {
		// The SDK's message may hold parts of the connection string.
		return azureQueue{}, fmt.Errorf("open queue %s: the connection string is not usable", name)
	}
	return azureQueue{client}, nil
}

func (q azureQueue) Receive(ctx context.Context, most int, hide time.Duration) ([]message, error) {
	n, seconds := int32(most), wholeSeconds(hide)
	resp, err := q.client.DequeueMessages(ctx, &azqueue.DequeueMessagesOptions{NumberOfMessages: &n, VisibilityTimeout: &seconds})
	if err != nil {
		return nil, queueError("receive messages", err)
	}
	batch := make([]message, 0, len(resp.Messages))
	for _, m := range resp.Messages {
		batch = append(batch, message{
			ID: valueOf(m.MessageID), Receipt: valueOf(m.PopReceipt), Text: valueOf(m.MessageText),
			Dequeues: valueOf(m.DequeueCount),
			Inserted: valueOf(m.InsertionTime), Expires: valueOf(m.ExpirationTime), NextVisible: valueOf(m.TimeNextVisible),
		})
	}
	return batch, nil
}

func (q azureQueue) Hide(ctx context.Context, m message, d time.Duration) (string, error) {
	seconds := wholeSeconds(d)
	// The SDK always sends a body, so the unchanged text has to go along.
	resp, err := q.client.UpdateMessage(ctx, m.ID, m.Receipt, m.Text, &azqueue.UpdateMessageOptions{VisibilityTimeout: &seconds})
	if err != nil {
		return "", queueError("hide message", err)
	}
	return valueOf(resp.PopReceipt), nil
}

func (q azureQueue) Delete(ctx context.Context, m message) error {
	if _, err := q.client.DeleteMessage(ctx, m.ID, m.Receipt, nil); err != nil {
		return queueError("delete message", err)
	}
	return nil
}

func (q azureQueue) Send(ctx context.Context, text string) error {
	_, err := q.client.EnqueueMessage(ctx, text, nil)
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		if _, err := q.client.Create(ctx, nil); err != nil && !queueerror.HasCode(err, queueerror.QueueAlreadyExists) {
			return queueError("create queue", err)
		}
		_, err = q.client.EnqueueMessage(ctx, text, nil)
	}
	if err != nil {
		return queueError("send message", err)
	}
	return nil
}

// queueError replaces what the SDK says, which repeats whole requests and
// answers, by the service's code.
func queueError(what string, err error) error {
	switch {
	case queueerror.HasCode(err, queueerror.QueueNotFound):
		return fmt.Errorf("%s: %w", what, errQueueMissing)
	case queueerror.HasCode(err, queueerror.MessageNotFound, queueerror.PopReceiptMismatch):
		return fmt.Errorf("%s: %w", what, errStale)
	}
	return storageError(what, err)
}

func storageError(what string, err error) error {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return fmt.Errorf("%s: storage answered %d %s", what, answer.StatusCode, answer.ErrorCode)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func wholeSeconds(d time.Duration) int32 { return int32(math.Ceil(d.Seconds())) }

// statusContainer holds what the host keeps for itself. Source: WebJobs SDK.
const statusContainer = "azure-webjobs-hosts"

// blobStatus keeps the timer status of the functions of one host in blobs.
type blobStatus struct {
	client *azblob.Client
	hostID string
}

func openStatus(connection, hostID string) (blobStatus, error) {
	client, err := azblob.NewClientFromConnectionString(connection, nil)
	if err != nil {
		return blobStatus{}, errors.New("open timer status: the connection string is not usable")
	}
	return blobStatus{client, hostID}, nil
}

func (s blobStatus) path(function string) string {
	return "timers/" + s.hostID + "/Host.Functions." + function + "/status"
}

func (s blobStatus) Load(ctx context.Context, function string) (*scheduleStatus, error) {
	what := "load timer status of " + function
	resp, err := s.client.DownloadStream(ctx, statusContainer, s.path(function), nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, storageError(what, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var status scheduleStatus
	if err := json.Unmarshal(text, &status); err != nil {
		return nil, fmt.Errorf("%s (%d bytes): %w", what, len(text), err)
	}
	return &status, nil
}

func (s blobStatus) Save(ctx context.Context, function string, status scheduleStatus) error {
	what := "save timer status of " + function
	text := encodeJSON(status)
	_, err := s.client.UploadBuffer(ctx, statusContainer, s.path(function), text, nil)
	if bloberror.HasCode(err, bloberror.ContainerNotFound) {
		_, err = s.client.CreateContainer(ctx, statusContainer, nil)
		if err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
			return storageError(what, err)
		}
		_, err = s.client.UploadBuffer(ctx, statusContainer, s.path(function), text, nil)
	}
	if err != nil {
		return storageError(what, err)
	}
	return nil
}

// reachable asks once whether the storage account answers at all, so that
// a wrong setting is found at start.
func (s blobStatus) reachable(ctx context.Context) error {
	_, err := s.client.ServiceClient().GetProperties(ctx, nil)
	var answer *azcore.ResponseError
	if err == nil || (errors.As(err, &answer) && answer.StatusCode != http.StatusForbidden) {
		return nil
	}
	return storageError("reach storage", err)
}
