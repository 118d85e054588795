package host

import (
	"encoding/json"
	"fmt"
	"time"
)

// QueueMessage is what a queue trigger delivers. Only Text decides anything: the
// host copies the top-level members of a JSON message over its own metadata, so
// a member named like one of the other fields would replace it.
type QueueMessage struct {
	Text         string    // the message after base64, as its sender wrote it
	DequeueCount int       // deliveries so far, this one included; 0 for a manual run
	Inserted     time.Time // UTC; zero when not told
	Expires      time.Time // UTC; year 9999 when the message never expires
}

// DecodeQueue reads the body of a queue trigger's invocation. binding is the
// trigger's name in function.json.
func DecodeQueue(body []byte, binding string) (QueueMessage, error) {
	e, err := decodeEnvelope(body)
	if err != nil {
		return QueueMessage{}, err
	}
	value, err := e.binding(binding)
	if err != nil {
		return QueueMessage{}, err
	}
	return QueueMessage{
		Text:         text(value),
		DequeueCount: integer(e.Metadata.member("DequeueCount")),
		Inserted:     instant(e.Metadata.member("InsertionTime")),
		Expires:      instant(e.Metadata.member("ExpirationTime")),
	}, nil
}

// Timer is what a timer trigger delivers. Times are UTC and zero when the host
// keeps none: the first run, a schedule under a minute, monitoring switched off.
type Timer struct {
	IsPastDue   bool // a tick was missed while no instance ran; set once, however many were
	Last        time.Time
	Next        time.Time // about now in an ordinary run
	LastUpdated time.Time
}

// DecodeTimer reads the body of a timer trigger's invocation. binding is the
// trigger's name in function.json. A null timer, as in some manual runs, is the
// zero Timer.
func DecodeTimer(body []byte, binding string) (Timer, error) {
	e, err := decodeEnvelope(body)
	if err != nil {
		return Timer{}, err
	}
	value, err := e.binding(binding)
	if err != nil {
		return Timer{}, err
	}
	var info struct {
		IsPastDue      json.RawMessage
		ScheduleStatus members
	}
	if raw := object(value); len(raw) > 0 {
		if err := json.Unmarshal(raw, &info); err != nil {
			return Timer{}, fmt.Errorf("decode timer %q: %w", binding, withoutContent(err))
		}
	}
	return Timer{
		IsPastDue:   boolean(info.IsPastDue),
		Last:        instant(info.ScheduleStatus.member("Last")),
		Next:        instant(info.ScheduleStatus.member("Next")),
		LastUpdated: instant(info.ScheduleStatus.member("LastUpdated")),
	}, nil
}
