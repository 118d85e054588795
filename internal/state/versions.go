package state

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// What lists have shown stands in blobs of its own, versions/<name>.bin, each written
// once: a ledger or a state names it. A name begins with the RunId of its run.
const (
	versionsPrefix = "versions/"
	versionsSuffix = ".bin"
	metaVersions   = "versions" // state: the name; absent when none
)

func versionsName(name string) string {
	return versionsPrefix + blobstore.Escape(name) + versionsSuffix
}

func parseVersionsName(blob string) (string, bool) {
	rest, ok := strings.CutPrefix(blob, versionsPrefix)
	rest, ok2 := strings.CutSuffix(rest, versionsSuffix)
	name, err := blobstore.Unescape(rest)
	return name, ok && ok2 && err == nil
}

// SaveVersions writes what a list has shown under a name that no one has used yet.
func (h *TableLease) SaveVersions(ctx context.Context, name string, shown *plan.Versions) error {
	body, err := shown.MarshalBinary()
	if err != nil {
		return fault.As(fault.Permanent, err)
	}
	if err := h.usable(); err != nil {
		return err
	}
	if _, err := h.store.box.Put(ctx, versionsName(name), blobstore.Write{Body: body}); err != nil {
		return fmt.Errorf("save versions %s: %w", name, err)
	}
	return nil
}

// Versions reads what a list has shown; nil when it is not there.
func (h *TableLease) Versions(ctx context.Context, name string) (*plan.Versions, error) {
	return h.store.Versions(ctx, name)
}

// DropVersions removes it, as far as it is there.
func (h *TableLease) DropVersions(ctx context.Context, name string) error {
	if err := h.usable(); err != nil {
		return err
	}
	if err := h.store.box.Delete(ctx, versionsName(name), ""); err != nil && !errors.Is(err, blobstore.ErrNotFound) {
		return fmt.Errorf("drop versions %s: %w", name, err)
	}
	return nil
}

// Versions reads what a list has shown; nil when it is not there.
func (s *Store) Versions(ctx context.Context, name string) (*plan.Versions, error) {
	b, err := s.box.Get(ctx, versionsName(name))
	if errors.Is(err, blobstore.ErrNotFound) {
		return nil, nil // as Read and ReadLedger
	}
	var shown plan.Versions
	if err == nil {
		err = fault.As(fault.Permanent, shown.UnmarshalBinary(b.Body))
	}
	if err != nil {
		return nil, fmt.Errorf("read versions %s: %w", name, err)
	}
	return &shown, nil
}

// sweepVersions deletes records that were written before olderThan and that neither a
// table state nor an open run can name: a kill has left them behind.
func (s *Store) sweepVersions(ctx context.Context, tables []Summary, olderThan time.Time) error {
	for it, err := range s.box.List(ctx, versionsPrefix) {
		if err != nil {
			return fmt.Errorf("list versions: %w", err)
		}
		name, ok := parseVersionsName(it.Name)
		inUse := false
		for _, t := range tables {
			inUse = inUse || t.Versions == name || t.OpenRun != "" && strings.HasPrefix(name, t.OpenRun)
		}
		if !ok || inUse || !it.Modified.Before(olderThan) {
			continue
		}
		switch err := s.box.Delete(ctx, it.Name, it.ETag); {
		case err == nil, errors.Is(err, blobstore.ErrNotFound), errors.Is(err, blobstore.ErrConflict):
		default:
			return fmt.Errorf("delete versions %s: %w", name, err)
		}
	}
	return nil
}
