package plan

// What made somebody send a wake-up.
const (
	// Scheduled comes from the timer. It may be dropped while another worker holds
	// the table: that worker or the next tick does the work.
	Scheduled = "scheduled"
	// Manual comes from a person, who waits for it. It is put off, never dropped.
	Manual = "manual"
	// Forced is Manual for a table that is switched off.
	Forced = "forced"
)

// WakeUp asks for one table to be migrated. It carries no run and no state, so
// losing or repeating one is harmless.
type WakeUp struct {
	Key     Key
	Trigger string // Scheduled, Manual or Forced
	Again   int    // how often it was put off because another worker held the table
	// PutOff is the number of a wake-up that we sent again ourselves, see Pending; 0:
	// it comes from the timer or a person.
	PutOff int64
	// Failures is how often in a row it was sent again because the work had failed.
	Failures int
}

// MostReady is as far as Backlog.Ready counts: what one look at a queue shows.
// Source: Azure Storage, Peek Messages, numofmessages.
const MostReady = 32

// Backlog is what the queue of wake-ups holds.
type Backlog struct {
	All   int // about how many, sleeping ones and those in work included
	Ready int // of these, how many the next host that is free is given; MostReady at most
}
