package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/defender2adx/defender2adx/internal/blobstore"
)

// appName is the blob that says whose container this is. Nothing is decided by it but
// that a person's command works as the app.
const appName = "app.json"

// appFormat is the version of its JSON that this program writes.
const appFormat = 1

type appDocument struct {
	stamp
	Format int    `json:"Format"`
	AppID  string `json:"AppID"` // begins the RunIds of the app that writes states here
}

// AppID returns the id of the app that the container belongs to; "" where no app has
// said so yet.
func (s *Store) AppID(ctx context.Context) (string, error) {
	d, _, err := s.readApp(ctx)
	if err != nil {
		return "", fmt.Errorf("read the app's id: %w", err)
	}
	return d.AppID, nil
}

// SaveAppID says that the container is the app's. It writes nothing where that is
// known; of two processes that say so at once either may win, since both are one app.
func (s *Store) SaveAppID(ctx context.Context, id string) error {
	d, tag, err := s.readApp(ctx)
	if err == nil && d.AppID == id {
		return nil
	}
	var body []byte
	if err == nil {
		body, err = json.Marshal(appDocument{stamp{s.writer, s.acquired.Add(1), s.version}, appFormat, id})
	}
	if err == nil {
		_, err = s.box.Put(ctx, appName, blobstore.Write{IfMatch: tag, Body: body})
	}
	if err != nil && !errors.Is(err, blobstore.ErrConflict) {
		return fmt.Errorf("write the app's id: %w", err)
	}
	return nil
}

func (s *Store) readApp(ctx context.Context) (d appDocument, tag string, err error) {
	b, err := s.box.Get(ctx, appName)
	if errors.Is(err, blobstore.ErrNotFound) {
		return d, "", nil
	}
	if err != nil {
		return d, "", err
	}
	if err := checkFormat(b.Body, appFormat, s.clock.read().wall); err != nil {
		return d, "", err
	}
	if err := json.Unmarshal(b.Body, &d); err != nil {
		return d, "", unreadable(b.Body, err)
	}
	return d, b.ETag, nil
}
