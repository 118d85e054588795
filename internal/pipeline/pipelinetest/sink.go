package pipelinetest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// SinkPorts is what a slice goes through: staged, sent, looked for; and the control
// tables, by which a run is known.
type SinkPorts interface {
	pipeline.Stager
	pipeline.Ingester
	pipeline.Verifier
	pipeline.ControlTables
}

// SinkWorld is ADX with two empty raw tables that lack nothing.
type SinkWorld struct {
	SinkPorts
	// Destination and Second are the raw tables; NoTable is the name of none.
	Destination, Second, NoTable string
	// Rows returns what writes n small rows as a blob holds them, and Wide the same of
	// rows longer than half of Limit bytes.
	Rows, Wide func(n int) func(io.Writer) error
	Limit      int64
	// Oversized returns what writes n rows larger than the RowLimit of Destination.
	Oversized func(n int) func(io.Writer) error
	// File returns the signed address of a file of n rows that stands elsewhere than in
	// the staging storage; Expired and Gone are addresses of one whose signature has run
	// out, and of none.
	File          func(n int) secret.String
	Expired, Gone secret.String
	// Fate is how the ingestions end that are sent from now on.
	Fate func(Fate)
	// Spoil takes a column that a raw table needs away from Destination.
	Spoil func()
	// Twice makes ADX hold the rows of a slice once more, at a later instant.
	Twice func(destination, runID string, slice int)
	// Now is ADX's clock, and Pause lets ingestion go on.
	Now   func() time.Time
	Pause func()

	names string // begins the names of the case's blobs
}

// Fate is how a queued ingestion ends that does not end well.
type Fate string

const (
	// Partly: only the first row is taken in.
	Partly Fate = "partly"
	// Faltering: it failed for a reason that may pass, and ADX tries again by itself.
	Faltering Fate = "faltering"
)

// Runs of this app, of which the second is another one, and of a stranger.
const (
	appID    = "app001"
	ownRun   = "app00120260304120000aaaaaaaa"
	otherRun = "app00120260304110000bbbbbbbb"
	foreign  = "zzz00920260304120000cccccccc"
)

// Sink tests a Stager, an Ingester and a Verifier that belong together; open makes
// tables of their own for each case; the blobs of all cases may lie together.
func Sink(t *testing.T, open func(t *testing.T) SinkWorld) {
	for i, c := range []struct {
		name string
		test func(*testing.T, SinkWorld)
	}{
		{"a staged blob is there, and one never staged is gone", stagedIsThere},
		{"an error of produce comes back as it is and nothing is committed", produceFails},
		{"a blob is never written over: its name is refused, or stands elsewhere", nameIsTaken},
		{"rows land by slice and run and destination", landBySlice},
		{"runs are counted together in one query, and no other", landedRuns},
		{"the rows of a missing table cannot be counted", landedOfNoTable},
		{"rows that are too large land as nulls, and none once they are cut", landedNulls},
		{"a slice enqueued twice lands once", enqueueTwice},
		{"a file is enqueued by its address", enqueueFile},
		{"a file that cannot be read is a failure for good", enqueueUnreadable},
		{"what is refused before it is queued says so", enqueueRefused},
		{"rows that came in since the run began are counted", landedSince},
		{"a failed ingestion is reported with its reason", statusOfAFailure},
		{"a failure that may pass is reported as one", statusOfAFaltering},
		{"rows taken in but for some are reported as a part", statusOfAPart},
		{"a blob without a record is reported as empty", statusOfNothing},
		{"an ingestion taken in is reported, and an unknown one is not", statusOfASuccess},
		{"hiding is repeated without harm", voidTwice},
		{"a probe is seen once it arrived", probeArrives},
		{"a row limit is positive", rowLimit},
		{"a whole table has no trouble, and a missing one a remedy", trouble},
		{"a table that lacks a column is in trouble", troubleOfAColumn},
		{"a row of another app is foreign, from when it came in", foreignRow},
		{"a run that nobody published is an orphan until it is hidden", orphanRun},
		{"a table that sources share has no orphan", orphanOfAShared},
		{"a recut blob keeps its rows and cuts none that is short", recutShort},
		{"a recut cuts rows that are too long", recutWide},
		{"a recut needs a new name and the blob", recutRefused},
		{"rows that stand in parts without a common bucket are told", overlap},
		{"rows taken in twice come with the command that removes them", surplus},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := open(t)
			w.names = fmt.Sprintf("case%02d-", i)
			must(t, w.Ready(t.Context()))
			c.test(t, w)
		})
	}
}

// stage stages n small rows; the blob has the counts that its maker adds.
func (w SinkWorld) stage(t *testing.T, name string, n int) plan.Blob {
	t.Helper()
	b, err := w.Stage(t.Context(), w.names+name, w.Rows(n))
	must(t, err)
	if b.Rows != 0 || b.Bytes != 0 {
		t.Errorf("Stage counts %d rows, %d bytes; want them left zero", b.Rows, b.Bytes)
	}
	b.Rows, b.Bytes = int64(n), int64(20*n)
	return b
}

func (w SinkWorld) send(t *testing.T, destination, run string, slice int, b plan.Blob) (sourceID string) {
	t.Helper()
	id, err := w.Enqueue(t.Context(), plan.Ingestion{Destination: destination, RunID: run, Slice: slice, Blob: b})
	must(t, err)
	return id
}

func (w SinkWorld) landed(t *testing.T, destination, run string) map[int]plan.Landed {
	t.Helper()
	got, err := w.Landed(t.Context(), destination, []string{run}, time.Time{})
	must(t, err)
	return got[run]
}

// wait waits for rows of a slice.
func (w SinkWorld) wait(t *testing.T, destination, run string, slice int, rows int64) {
	t.Helper()
	until(t, w.Pause, "rows of "+run, func() bool { return w.landed(t, destination, run)[slice].Rows == rows })
}

// copy brings n rows of a slice into the table.
func (w SinkWorld) copy(t *testing.T, destination, run string, slice, n int) plan.Blob {
	t.Helper()
	b := w.stage(t, blobName(run, slice), n)
	w.send(t, destination, run, slice, b)
	w.wait(t, destination, run, slice, int64(n))
	return b
}

func blobName(run string, slice int) string { return plan.IngestTag(run, slice) + ".json.gz" }

// settled waits until whatever was sent before was dealt with: what was sent later,
// as a slice with that number, is there.
func (w SinkWorld) settled(t *testing.T, slice int) {
	t.Helper()
	w.copy(t, w.Second, ownRun, slice, 1)
}

func (w SinkWorld) wantState(t *testing.T, what string, b plan.Blob, want plan.BlobState) {
	t.Helper()
	if got, err := w.BlobState(t.Context(), b); err != nil || got != want {
		t.Errorf("%s is %q, %v; want %q", what, got, err, want)
	}
}

func stagedIsThere(t *testing.T, w SinkWorld) {
	b := w.stage(t, "there1.json.gz", 3)
	w.wantState(t, "a staged blob", b, plan.BlobThere)
	b.Path = strings.Replace(b.Path, "there1", "never1", 1)
	w.wantState(t, "one that was never staged", b, plan.BlobGone)
	w.wantState(t, "none, of a slice without rows", plan.Blob{}, plan.BlobGone)
}

func produceFails(t *testing.T, w SinkWorld) {
	cause := errors.New("the source broke off")
	b, err := w.Stage(t.Context(), w.names+"fails1.json.gz", func(out io.Writer) error {
		// Rows were written before: they must not be committed either.
		if err := w.Rows(50)(out); err != nil {
			return err
		}
		return cause
	})
	if err != cause { //nolint:errorlint // as it is, not wrapped
		t.Errorf("Stage = %v, %v; want the error of produce itself", b, err)
	}
	for _, other := range []string{"fails2", "fails3"} { // they may lie in two containers
		b = w.stage(t, other+".json.gz", 1)
		b.Path = strings.Replace(b.Path, other, "fails1", 1)
		w.wantState(t, "the blob that failed", b, plan.BlobGone)
	}
	w.stage(t, "fails1.json.gz", 1)
}

// wantRefused stages under one name until it is refused, which every container does
// that has it: no blob may come to stand where one stood.
func wantRefused(t *testing.T, what string, stage func() (plan.Blob, error), stood ...plan.Blob) {
	t.Helper()
	const containers = 10 // more than a world lends
	paths := map[string]bool{}
	for _, b := range stood {
		paths[b.Path] = true
	}
	for range containers {
		b, err := stage()
		switch {
		case err != nil:
			return
		case paths[b.Path]:
			t.Fatalf("%s under a name that is taken = %v, where a blob stood", what, b)
		}
		paths[b.Path] = true
	}
	t.Errorf("%s takes one name %d times", what, containers)
}

func nameIsTaken(t *testing.T, w SinkWorld) {
	b := w.stage(t, "taken1.json.gz", 3)
	wantRefused(t, "Stage", func() (plan.Blob, error) {
		return w.Stage(t.Context(), w.names+"taken1.json.gz", w.Rows(5))
	}, b)
	w.send(t, w.Destination, ownRun, 1, b)
	w.wait(t, w.Destination, ownRun, 1, 3)
}

func landBySlice(t *testing.T, w SinkWorld) {
	w.copy(t, w.Destination, ownRun, 1, 3)
	w.copy(t, w.Destination, ownRun, 2, 5)
	w.copy(t, w.Destination, otherRun, 1, 7)
	w.copy(t, w.Second, ownRun, 3, 2)
	for _, c := range []struct {
		destination, run string
		want             map[int]int64
	}{
		{w.Destination, ownRun, map[int]int64{1: 3, 2: 5}},
		{w.Destination, otherRun, map[int]int64{1: 7}},
		{w.Second, ownRun, map[int]int64{3: 2}},
		{w.Destination, "app00120260304100000dddddddd", nil},
	} {
		got := w.landed(t, c.destination, c.run)
		for slice, rows := range c.want {
			if got[slice] != (plan.Landed{Rows: rows}) {
				t.Errorf("slice %d of %s in %s = %+v, want %d rows", slice, c.run, c.destination, got[slice], rows)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("Landed of %s in %s = %v, want %v", c.run, c.destination, got, c.want)
		}
	}
}

func landedRuns(t *testing.T, w SinkWorld) {
	const third = "app00120260304100000dddddddd"
	w.copy(t, w.Destination, ownRun, 1, 3)
	w.copy(t, w.Destination, otherRun, 1, 7)
	w.copy(t, w.Destination, otherRun, 2, 1)
	w.copy(t, w.Destination, third, 1, 2)
	got, err := w.Landed(t.Context(), w.Destination, []string{ownRun, otherRun, "app00120260304090000eeeeeeee"}, time.Time{})
	must(t, err)
	want := plan.LandedRuns{ownRun: {1: {Rows: 3}}, otherRun: {1: {Rows: 7}, 2: {Rows: 1}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Landed of three runs, one of them unknown (-want +got):\n%s", diff)
	}
}

func landedOfNoTable(t *testing.T, w SinkWorld) {
	got, err := w.Landed(t.Context(), w.NoTable, []string{ownRun}, time.Time{})
	if err == nil {
		t.Errorf("Landed of a missing table = %v; want an error", got)
	}
}

func landedNulls(t *testing.T, w SinkWorld) {
	b, err := w.Stage(t.Context(), w.names+"large1.json.gz", w.Oversized(2))
	must(t, err)
	b.Rows = 2
	w.send(t, w.Destination, ownRun, 1, b)
	w.wait(t, w.Destination, ownRun, 1, 2)
	if got := w.landed(t, w.Destination, ownRun)[1]; got.Nulls != 2 {
		t.Errorf("Landed of two rows that are too large = %+v; want two nulls", got)
	}
	limit, err := w.RowLimit(t.Context(), w.Destination)
	must(t, err)
	copied, cut, err := w.Recut(t.Context(), b, w.names+"large2.json.gz", plan.CutAt(limit))
	if err != nil || cut != 2 {
		t.Fatalf("Recut = %+v, %d cut, %v; want both rows cut", copied, cut, err)
	}
	w.send(t, w.Destination, ownRun, 2, copied)
	w.wait(t, w.Destination, ownRun, 2, 2)
	if got := w.landed(t, w.Destination, ownRun)[2]; got.Nulls != 0 {
		t.Errorf("Landed of the rows cut = %+v; want no null", got)
	}
}

func enqueueTwice(t *testing.T, w SinkWorld) {
	b := w.copy(t, w.Destination, ownRun, 1, 4)
	w.send(t, w.Destination, ownRun, 1, b)
	w.settled(t, 101)
	if got := w.landed(t, w.Destination, ownRun)[1].Rows; got != 4 {
		t.Errorf("%d rows of a slice of 4 that was sent twice", got)
	}
	// Both before either was taken in.
	b = w.stage(t, blobName(ownRun, 2), 6)
	w.send(t, w.Destination, ownRun, 2, b)
	w.send(t, w.Destination, ownRun, 2, b)
	w.wait(t, w.Destination, ownRun, 2, 6)
	w.settled(t, 102)
	if got := w.landed(t, w.Destination, ownRun)[2].Rows; got != 6 {
		t.Errorf("%d rows of a slice of 6 that was sent twice in a row", got)
	}
}

func (w SinkWorld) sendFile(t *testing.T, slice int, at secret.String) (sourceID string) {
	t.Helper()
	id, err := w.Enqueue(t.Context(), plan.Ingestion{Destination: w.Destination, RunID: ownRun, Slice: slice, URL: at})
	must(t, err)
	return id
}

func enqueueFile(t *testing.T, w SinkWorld) {
	file := w.File(3)
	id := w.sendFile(t, 1, file)
	w.wait(t, w.Destination, ownRun, 1, 3)
	w.wantReport(t, "a file", id, plan.IngestSucceeded)
	// Its tag keeps the rows single, as a blob's does.
	w.wantReport(t, "the file sent again", w.sendFile(t, 1, file), plan.IngestSucceeded)
	w.sendFile(t, 2, w.File(5))
	w.wait(t, w.Destination, ownRun, 2, 5)
	if got := w.landed(t, w.Destination, ownRun)[1].Rows; got != 3 {
		t.Errorf("%d rows of a file of 3 that was sent twice", got)
	}
}

func enqueueUnreadable(t *testing.T, w SinkWorld) {
	for slice, at := range []secret.String{w.Expired, w.Gone} {
		id := w.sendFile(t, slice+1, at)
		s := w.wantReport(t, "a file that cannot be read", id, plan.IngestFailed)
		if _, signature, _ := strings.Cut(at.Reveal(), "?"); !s.Permanent || s.Reason == "" || signature != "" && strings.Contains(s.Reason, signature) {
			t.Errorf("IngestStatus = %+v; want a permanent failure, its reason without the signature", s)
		}
	}
	if got := w.landed(t, w.Destination, ownRun); len(got) != 0 {
		t.Errorf("Landed of no file that could be read = %v", got)
	}
}

func enqueueRefused(t *testing.T, w SinkWorld) {
	b := w.stage(t, blobName(ownRun, 1), 1)
	for what, in := range map[string]plan.Ingestion{
		"no name of a table":   {Destination: "T; drop", RunID: ownRun, Slice: 1, Blob: b},
		"no RunId":             {Destination: w.Destination, Slice: 1, Blob: b},
		"a RunId of marks":     {Destination: w.Destination, RunID: `r"]`, Slice: 1, Blob: b},
		"no address of a file": {Destination: w.Destination, RunID: ownRun, Slice: 1, URL: secret.New("S3CRET")},
	} {
		_, err := w.Enqueue(t.Context(), in)
		wantKind(t, "Enqueue of "+what, err, fault.Permanent)
		if !errors.Is(err, fault.ErrNotQueued) || strings.Contains(fmt.Sprint(err), "S3CRET") {
			t.Errorf("Enqueue of %s = %v; want it marked as not queued, and no address", what, err)
		}
	}
}

func landedSince(t *testing.T, w SinkWorld) {
	began := w.Now()
	w.copy(t, w.Destination, ownRun, 1, 3)
	got, err := w.Landed(t.Context(), w.Destination, []string{ownRun}, began)
	if err != nil || got[ownRun][1].Rows != 3 {
		t.Errorf("Landed since the run began = %v, %v; want 3 rows", got, err)
	}
}

func (w SinkWorld) status(t *testing.T, id string) plan.IngestStatus {
	t.Helper()
	s, err := w.IngestStatus(t.Context(), id)
	must(t, err)
	return s
}

// wantReport waits until ADX has reported how an ingestion ended.
func (w SinkWorld) wantReport(t *testing.T, what, id string, want plan.IngestState) (s plan.IngestStatus) {
	t.Helper()
	until(t, w.Pause, "a report of "+what, func() bool { s = w.status(t, id); return s.State != plan.IngestUnknown })
	if s.State != want {
		t.Errorf("IngestStatus of %s = %+v; want %s", what, s, want)
	}
	return s
}

func statusOfAFailure(t *testing.T, w SinkWorld) {
	id := w.send(t, w.NoTable, ownRun, 1, w.stage(t, blobName(ownRun, 1), 3))
	if s := w.wantReport(t, "a missing table", id, plan.IngestFailed); !s.Permanent || s.Reason == "" {
		t.Errorf("IngestStatus = %+v, want a permanent failure with its reason", s)
	}
}

func statusOfAFaltering(t *testing.T, w SinkWorld) {
	b := w.stage(t, blobName(ownRun, 1), 3)
	w.Fate(Faltering)
	id := w.send(t, w.Destination, ownRun, 1, b)
	if s := w.wantReport(t, "a failure that may pass", id, plan.IngestFailed); s.Permanent || s.Reason == "" {
		t.Errorf("IngestStatus = %+v; want a failure that is not permanent, and its reason", s)
	}
}

func statusOfAPart(t *testing.T, w SinkWorld) {
	b := w.stage(t, blobName(ownRun, 1), 3)
	w.Fate(Partly)
	id := w.send(t, w.Destination, ownRun, 1, b)
	w.wantReport(t, "a part", id, plan.IngestPartial)
	w.wait(t, w.Destination, ownRun, 1, 1)
}

func statusOfNothing(t *testing.T, w SinkWorld) {
	b, err := w.Stage(t.Context(), w.names+"empty1.json.gz", func(io.Writer) error { return nil })
	must(t, err)
	id := w.send(t, w.Destination, ownRun, 1, b)
	w.wantReport(t, "a blob without a record", id, plan.IngestEmpty)
	if got := w.landed(t, w.Destination, ownRun); len(got) != 0 {
		t.Errorf("Landed of a blob without a record = %v", got)
	}
}

func statusOfASuccess(t *testing.T, w SinkWorld) {
	b := w.stage(t, blobName(ownRun, 1), 3)
	w.wantReport(t, "an ingestion", w.send(t, w.Destination, ownRun, 1, b), plan.IngestSucceeded)
	w.wait(t, w.Destination, ownRun, 1, 3)
	// Skipped for its tag is taken in, too.
	w.wantReport(t, "the second", w.send(t, w.Destination, ownRun, 1, b), plan.IngestSucceeded)
	if s := w.status(t, "0f8fad5b-d9cb-469f-a165-70867728950e"); s.State != plan.IngestUnknown {
		t.Errorf("IngestStatus of no ingestion = %+v", s)
	}
	_, err := w.IngestStatus(t.Context(), "")
	wantKind(t, "IngestStatus without an id", err, fault.Permanent)
}

func voidTwice(t *testing.T, w SinkWorld) {
	for range 2 {
		must(t, w.Void(t.Context(), w.Destination, ownRun, 1))
		must(t, w.Void(t.Context(), w.Destination, ownRun, -1))
	}
	w.copy(t, w.Destination, ownRun, 1, 3) // hidden rows are counted all the same
}

func probeArrives(t *testing.T, w SinkWorld) {
	probed := func(id string) bool {
		t.Helper()
		there, err := w.Probed(t.Context(), id)
		must(t, err)
		return there
	}
	if probed("probe1") {
		t.Error("a probe is there that was never sent")
	}
	must(t, w.Probe(t.Context(), "probe1"))
	until(t, w.Pause, "the probe", func() bool { return probed("probe1") })
	if probed("probe2") {
		t.Error("another probe is there")
	}
}

func rowLimit(t *testing.T, w SinkWorld) {
	if n, err := w.RowLimit(t.Context(), w.Destination); err != nil || n < 1<<20 {
		t.Errorf("RowLimit = %d, %v; want a megabyte or more", n, err)
	}
}

func trouble(t *testing.T, w SinkWorld) {
	if texts, err := w.Trouble(t.Context(), w.Destination); err != nil || len(texts) != 0 {
		t.Errorf("Trouble of a whole table = %q, %v", texts, err)
	}
	if texts, err := w.Trouble(t.Context(), w.NoTable); err != nil || len(texts) == 0 {
		t.Errorf("Trouble of a missing table = %q, %v; want the remedy", texts, err)
	}
}

func troubleOfAColumn(t *testing.T, w SinkWorld) {
	w.Spoil()
	texts, err := w.Trouble(t.Context(), w.Destination)
	if err != nil || len(texts) == 0 || !strings.Contains(texts[0], w.Destination) {
		t.Errorf("Trouble of a table that lacks a column = %q, %v; want the remedy for it", texts, err)
	}
	if texts, err := w.Trouble(t.Context(), w.Second); err != nil || len(texts) != 0 {
		t.Errorf("Trouble of another table = %q, %v", texts, err)
	}
}

func foreignRow(t *testing.T, w SinkWorld) {
	find := func(destination string, since time.Time) string {
		t.Helper()
		run, err := w.Foreign(t.Context(), destination, appID, since)
		must(t, err)
		return run
	}
	began := w.Now().Add(-time.Minute)
	w.copy(t, w.Destination, ownRun, 1, 1)
	if run := find(w.Destination, began); run != "" {
		t.Errorf("Foreign of own rows = %q", run)
	}
	w.copy(t, w.Destination, foreign, 1, 1)
	if run := find(w.Destination, began); run != foreign {
		t.Errorf("Foreign = %q, want %q", run, foreign)
	}
	if run := find(w.Destination, time.Time{}); run != foreign {
		t.Errorf("Foreign since ever = %q, want %q", run, foreign)
	}
	if run := find(w.Destination, w.Now().Add(time.Hour)); run != "" {
		t.Errorf("Foreign since later = %q", run)
	}
	if run := find(w.Second, began); run != "" {
		t.Errorf("Foreign of another table = %q", run)
	}
}

func (w SinkWorld) orphan(t *testing.T, destination string) string {
	t.Helper()
	run, command, err := w.OrphanRun(t.Context(), destination, ownRun)
	must(t, err)
	if (run == "") != (command == "") {
		t.Errorf("OrphanRun = %q with the command %q", run, command)
	}
	return run
}

func (w SinkWorld) publish(t *testing.T, tag, source, destination, run string) {
	t.Helper()
	must(t, w.Deliver(t.Context(), plan.Outgoing{Tag: tag, Config: &plan.Row{
		SourceTable: source, DestinationTable: destination, WatermarkColumn: "None", LoadType: "Full", IsActive: true, RunID: run,
	}}))
}

func orphanRun(t *testing.T, w SinkWorld) {
	w.publish(t, "t1", "DeviceInfo", w.Destination, "")
	w.copy(t, w.Destination, ownRun, 1, 1)
	if run := w.orphan(t, w.Destination); run != "" {
		t.Errorf("OrphanRun = %q with the own run alone", run)
	}
	w.copy(t, w.Destination, otherRun, 1, 1)
	if run := w.orphan(t, w.Destination); run != otherRun {
		t.Errorf("OrphanRun = %q, want %q", run, otherRun)
	}
	if run := w.orphan(t, w.Second); run != "" {
		t.Errorf("OrphanRun of another table = %q", run)
	}
	must(t, w.Void(t.Context(), w.Destination, otherRun, 1))
	if run := w.orphan(t, w.Destination); run != otherRun {
		t.Errorf("OrphanRun with one slice hidden = %q, want %q", run, otherRun)
	}
	must(t, w.Void(t.Context(), w.Destination, otherRun, -1))
	if run := w.orphan(t, w.Destination); run != "" {
		t.Errorf("OrphanRun hidden as a whole = %q", run)
	}
	const published = "app00120260304090000eeeeeeee"
	w.copy(t, w.Destination, published, 1, 1)
	w.publish(t, "t2", "DeviceInfo", w.Destination, published)
	if run := w.orphan(t, w.Destination); run != "" {
		t.Errorf("OrphanRun of published runs = %q", run)
	}
}

func orphanOfAShared(t *testing.T, w SinkWorld) {
	w.publish(t, "t1", "DeviceInfo", w.Destination, "")
	w.publish(t, "t2", "DeviceEvents", w.Destination, "")
	w.copy(t, w.Destination, otherRun, 1, 1)
	if run := w.orphan(t, w.Destination); run != "" {
		t.Errorf("OrphanRun of a table that two sources share = %q", run)
	}
}

func recutShort(t *testing.T, w SinkWorld) {
	b := w.stage(t, "short1.json.gz", 6)
	copied, cut, err := w.Recut(t.Context(), b, w.names+"short2.json.gz", w.Limit)
	if err != nil || cut != 0 || copied.Rows != 6 || copied.Path == b.Path {
		t.Fatalf("Recut = %+v, %d cut, %v; want 6 rows under a new name", copied, cut, err)
	}
	w.wantState(t, "the first blob", b, plan.BlobThere)
	w.send(t, w.Destination, ownRun, 1, copied)
	w.wait(t, w.Destination, ownRun, 1, 6)
}

func recutWide(t *testing.T, w SinkWorld) {
	b, err := w.Stage(t.Context(), w.names+"wide1.json.gz", w.Wide(4))
	must(t, err)
	b.Rows = 4
	copied, cut, err := w.Recut(t.Context(), b, w.names+"wide2.json.gz", w.Limit)
	if err != nil || cut != 4 || copied.Rows != 4 {
		t.Fatalf("Recut = %+v, %d cut, %v; want 4 rows, all cut", copied, cut, err)
	}
	w.send(t, w.Destination, ownRun, 1, copied)
	w.wait(t, w.Destination, ownRun, 1, 4)
}

func recutRefused(t *testing.T, w SinkWorld) {
	b := w.stage(t, "refused1.json.gz", 2)
	wantRefused(t, "Recut", func() (plan.Blob, error) {
		copied, _, err := w.Recut(t.Context(), b, w.names+"refused2.json.gz", w.Limit)
		return copied, err
	}, w.stage(t, "refused2.json.gz", 3))
	b.Path = strings.Replace(b.Path, "refused1", "refused3", 1)
	if copied, _, err := w.Recut(t.Context(), b, w.names+"refused4.json.gz", w.Limit); err == nil {
		t.Errorf("Recut of a blob that is gone = %+v", copied)
	}
}

func surplus(t *testing.T, w SinkWorld) {
	w.copy(t, w.Destination, ownRun, 7, 3)
	w.Twice(w.Destination, ownRun, 7)
	w.wait(t, w.Destination, ownRun, 7, 6)
	command, err := w.Surplus(t.Context(), w.Destination, ownRun, 7, 3)
	if err != nil || !strings.HasPrefix(command, ".delete table ") || !strings.Contains(command, ownRun) || !strings.Contains(command, w.Destination) {
		t.Errorf("Surplus = %q, %v; want a deletion of the slice's rows", command, err)
	}
}

func overlap(t *testing.T, w SinkWorld) {
	b := w.stage(t, blobName(ownRun, 1), 5)
	for slice := 1; slice <= 3; slice++ {
		w.send(t, w.Destination, ownRun, slice, b)
		w.wait(t, w.Destination, ownRun, slice, 5)
	}
	w.send(t, w.Destination, otherRun, 4, b)
	w.wait(t, w.Destination, otherRun, 4, 5)
	w.copy(t, w.Destination, ownRun, 5, 4)
	part := func(no, lo, hi int) plan.Slice { return plan.Slice{No: no, Lo: lo, Hi: hi} }
	for _, c := range []struct {
		name            string
		parts           []plan.Slice
		rows, different int64
	}{
		{"two parts", []plan.Slice{part(1, 0, 100), part(2, 100, plan.Buckets)}, 10, 5},
		{"three, two of them beside each other in time", []plan.Slice{part(1, 0, 100), part(2, 0, 100), part(3, 100, 200)}, 15, 5},
		{"parts that share a bucket", []plan.Slice{part(1, 0, 100), part(2, 99, plan.Buckets)}, 0, 0},
		{"a part alone, and one without rows", []plan.Slice{part(1, 0, 100), part(9, 100, 200)}, 0, 0},
		{"a part of another run", []plan.Slice{part(1, 0, 100), part(4, 100, 200)}, 0, 0},
	} {
		got, err := w.Overlap(t.Context(), w.Destination, ownRun, c.parts, w.Now())
		if want := (plan.Overlap{Rows: c.rows, Different: c.different}); err != nil || got != want {
			t.Errorf("%s: Overlap = %+v, %v; want %+v", c.name, got, err, want)
		}
	}
}
