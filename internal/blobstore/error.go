package blobstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// What an error says about the blob; match with errors.Is.
var (
	// ErrNotFound: no such blob, or no container yet.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the blob is not the version the request was made for, or its
	// lease is not the request's.
	ErrConflict = errors.New("conflict")
	// ErrLease: somebody else holds the lease, or ours is lost.
	ErrLease = errors.New("lease")
	// ErrUncertain: the request may have taken effect.
	ErrUncertain = errors.New("outcome unknown")
)

// refusal is an answer of the service: its status and error code, and never the
// SDK's text, which repeats the request's URL.
type refusal struct {
	status int
	code   string
}

func (e *refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("storage answered %d %s", e.status, e.code))
}

// Is tells the classes of error apart by status and code. Source: "Blob service
// error codes" of the REST reference; every code about leases begins with Lease.
func (e *refusal) Is(target error) bool {
	lease := strings.HasPrefix(e.code, "Lease")
	switch target {
	case ErrNotFound:
		return e.status == http.StatusNotFound
	case ErrConflict:
		return e.status == http.StatusPreconditionFailed || lease || e.code == "BlobAlreadyExists"
	case ErrLease:
		return lease
	case ErrUncertain:
		return e.status >= 500 || e.status == http.StatusRequestTimeout
	}
	return false
}

// describe turns an error of the SDK into one of ours: nothing of the request in
// it, with a fault kind, and with the remedy where a person must act.
func (c *Container) describe(err error) error {
	if err == nil {
		return nil
	}
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return uncertain(fault.As(fault.Retry, withoutURL(err)))
	}
	short := &refusal{answer.StatusCode, answer.ErrorCode}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.As(fault.Permanent, fmt.Errorf("%w: %s", short, c.remedy))
	}
	return fault.As(fault.Retry, short)
}

// withoutURL strips what net/http adds to a transport's error: method and URL. A
// context's error stays recognisable.
func withoutURL(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return fmt.Errorf("storage: %w", known)
		}
	}
	var sent *url.Error
	if errors.As(err, &sent) {
		err = sent.Err
	}
	return fmt.Errorf("storage: %w", err)
}

// uncertain marks err as ErrUncertain without changing its text.
func uncertain(err error) error {
	if errors.Is(err, ErrUncertain) {
		return err
	}
	return &unsettled{err}
}

type unsettled struct{ error }

func (e *unsettled) Unwrap() error        { return e.error }
func (e *unsettled) Is(target error) bool { return target == ErrUncertain }
