package azurite

import (
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	blobsas "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	queuesas "github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2/sas"
)

// The signed addresses below are secrets until they expire. They go through the
// front but say nothing about the protocol (no spr), because behind the front
// Azurite sees plain http and would refuse a signature for https alone.

// StagingRights are those that ADX gives on its staging containers: to read, write
// and delete. Source: the signatures in answers of .get ingestion resources.
const StagingRights = "rwd"

// ContainerSAS returns a signed https address of a container with the rights, by
// their letters, good until expiry.
func (f *Front) ContainerSAS(container string, expiry time.Time, rights string) (string, error) {
	key, err := azblob.NewSharedKeyCredential(f.account.Name, f.account.Key)
	if err != nil {
		return "", fmt.Errorf("sign container %s: %w", container, err)
	}
	query, err := blobsas.BlobSignatureValues{
		ContainerName: container,
		ExpiryTime:    expiry.UTC(),
		Permissions:   rights,
	}.SignWithSharedKey(key)
	if err != nil {
		return "", fmt.Errorf("sign container %s: %w", container, err)
	}
	return f.URL(Blob) + "/" + container + "?" + query.Encode(), nil
}

// QueueSAS returns a signed https address of a queue with the rights read, add,
// update and process, good until expiry.
func (f *Front) QueueSAS(queue string, expiry time.Time) (string, error) {
	key, err := azqueue.NewSharedKeyCredential(f.account.Name, f.account.Key)
	if err != nil {
		return "", fmt.Errorf("sign queue %s: %w", queue, err)
	}
	permissions := queuesas.QueuePermissions{Read: true, Add: true, Update: true, Process: true}
	query, err := queuesas.QueueSignatureValues{
		QueueName:   queue,
		ExpiryTime:  expiry.UTC(),
		Permissions: permissions.String(),
	}.SignWithSharedKey(key)
	if err != nil {
		return "", fmt.Errorf("sign queue %s: %w", queue, err)
	}
	return f.URL(Queue) + "/" + queue + "?" + query.Encode(), nil
}

// TableSAS returns a signed https address of a table with the rights read, add,
// update and delete, good until expiry.
func (f *Front) TableSAS(table string, expiry time.Time) (string, error) {
	key, err := aztables.NewSharedKeyCredential(f.account.Name, f.account.Key)
	if err != nil {
		return "", fmt.Errorf("sign table %s: %w", table, err)
	}
	permissions := aztables.SASPermissions{Read: true, Add: true, Update: true, Delete: true}
	query, err := aztables.SASSignatureValues{
		TableName:   table,
		ExpiryTime:  expiry.UTC(),
		Permissions: permissions.String(),
	}.Sign(key)
	if err != nil {
		return "", fmt.Errorf("sign table %s: %w", table, err)
	}
	return f.URL(Table) + "/" + table + "?" + query, nil
}
