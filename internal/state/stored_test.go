package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/state"
)

// In testdata stands what commit 868dea7 wrote, the first whose documents may lie
// in somebody's storage. They are taken up for ever and never written anew; what a
// later format writes gets a folder beside it.

func (a *account) putFixture(t *testing.T, file, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "868dea7", file))
	if err != nil {
		t.Fatal(err)
	}
	a.put(t, name, string(body))
	return body
}

func (a *account) put(t *testing.T, name, body string) {
	t.Helper()
	_, err := a.raw().Create(t.Context(), nil)
	if err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		t.Fatal(err)
	}
	_, err = a.raw().NewBlockBlobClient(name).Upload(t.Context(), streaming.NopCloser(strings.NewReader(body)), nil)
	if err != nil {
		t.Fatal(err)
	}
}

func (a *account) get(t *testing.T, name string) []byte {
	t.Helper()
	r, err := a.raw().NewBlobClient(name).DownloadStream(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// members of a document without its stamp, which differs with each write.
func members(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(m, func(name string, _ any) bool { return name == "Writer" || name == "WriteSeq" || name == "Program" })
	return m
}

func TestStored_StatesAreTakenUp(t *testing.T) {
	tests := []struct {
		file string
		want plan.TableState
		adds map[string]any // what the older program's members do not say
	}{
		{"state.json", sampleState(), map[string]any{"LastEnded": "2026-11-03T11:00:00Z", "Format": 2.0}},
		{"state-new.json", newState(), nil},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			a := newAccount(t)
			key := plan.Key{Instance: tt.want.Instance, Source: tt.want.Source}
			name := "state/contoso/DeviceInfo.json"
			if key.Instance == "" {
				name = "state/default/DeviceInfo.json"
			}
			stored := a.putFixture(t, tt.file, name)
			read, err := a.store(nil).Read(t.Context(), key)
			if diff := cmp.Diff(&tt.want, read); diff != "" || err != nil {
				t.Errorf("Read: %v (-want +got):\n%s", err, diff)
			}
			h := acquire(t, a.store(nil), key)
			if diff := cmp.Diff(&tt.want, h.State()); diff != "" {
				t.Fatalf("State (-want +got):\n%s", diff)
			}

			// Written again it says the same under the same names. Of another instance
			// than the default one the older program must not take it back.
			saveState(t, h, *h.State())
			want := members(t, stored)
			maps.Copy(want, tt.adds)
			if diff := cmp.Diff(want, members(t, a.get(t, name))); diff != "" {
				t.Errorf("written again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStored_LedgersAreTakenUp(t *testing.T) {
	for file, want := range map[string]plan.Ledger{"ledger.json": sampleLedger(), "ledger-snapshot.json": snapshotLedger()} {
		t.Run(file, func(t *testing.T) {
			a := newAccount(t)
			h := acquire(t, a.store(nil), deviceInfo)
			name := "ledger/" + want.RunID + ".json"
			stored := a.putFixture(t, file, name)
			l, err := h.Ledger(t.Context(), want.RunID)
			if diff := cmp.Diff(&want, l); diff != "" || err != nil {
				t.Fatalf("Ledger: %v (-want +got):\n%s", err, diff)
			}
			saveLedger(t, h, *l)
			was := members(t, stored)
			for _, s := range was["Slices"].([]any) {
				// What nobody needed; an older program reads them as false.
				delete(s.(map[string]any), "Failed")
				delete(s.(map[string]any), "Refetch")
			}
			if want.Instance != "" {
				was["Format"] = 2.0
			}
			if diff := cmp.Diff(was, members(t, a.get(t, name))); diff != "" {
				t.Errorf("written again (-want +got):\n%s", diff)
			}
		})
	}
}

// What a newer program of the same format has added is passed over. It is lost with
// the next write: see TableState.
func TestStored_UnknownMembersArePassedOver(t *testing.T) {
	a := newAccount(t)
	a.put(t, "state/default/DeviceInfo.json", `{"Format":1,"Source":"DeviceInfo","Generation":7,"Horizon":"1h","Table":{"Source":"DeviceInfo","Settle":3}}`)
	a.put(t, "ledger/r.json", `{"Format":1,"RunID":"r","Mode":{"a":1},"Slices":[{"No":3,"State":"planned","Promised":true}]}`)
	h := acquire(t, a.store(nil), deviceInfo)
	if got := h.State(); got.Generation != 7 || got.Table.Source != "DeviceInfo" {
		t.Errorf("State() = %+v", got)
	}
	if l, err := h.Ledger(t.Context(), "r"); err != nil || len(l.Slices) != 1 || l.Slices[0].No != 3 {
		t.Errorf("Ledger: %+v, %v", l, err)
	}
}

// What a newer program alone can read is left as it is, for an hour, whatever it
// holds.
func TestStored_NewerFormatsAreAWait(t *testing.T) {
	now := at(5, 12, 0)
	a := newAccount(t)
	s := a.store(func(c *state.Config) { c.Clock = func() time.Time { return now } })
	check := func(what string, err error) {
		t.Helper()
		until, wait := fault.Until(err)
		if !errors.Is(err, fault.ErrNewer) || !wait || !until.Equal(now.Add(time.Hour)) || !strings.Contains(err.Error(), "9.8.7") {
			t.Errorf("%s: %v until %v, want a wait of an hour that names the version", what, err, until)
		}
		// By the storage's clock it was written just now.
		if fault.Overdue(err, time.Now()) || !fault.Overdue(err, time.Now().Add(25*time.Hour)) {
			t.Errorf("%s: %v does not know when the document was written", what, err)
		}
	}
	const newer = `{"Format":3,"Program":"9.8.7","Generation":"text","Slices":{}}`
	for _, name := range []string{"state/default/DeviceInfo.json", "ledger/r.json"} {
		a.put(t, name, newer)
	}
	for range 2 { // the lease must not be left behind
		_, err := s.Acquire(t.Context(), deviceInfo)
		check("Acquire", err)
	}
	_, err := s.Read(t.Context(), deviceInfo)
	check("Read", err)
	_, err = s.ReadLedger(t.Context(), "r")
	check("ReadLedger", err)

	h := acquire(t, s, plan.Key{Source: "DeviceOther"})
	_, err = h.Ledger(t.Context(), "r")
	check("Ledger", err)
	if err := h.SaveLedger(t.Context(), &plan.Ledger{RunID: "r"}); !errors.Is(err, state.ErrFenced) {
		t.Errorf("SaveLedger over the newer ledger: %v, want ErrFenced", err)
	}
	for _, name := range []string{"state/default/DeviceInfo.json", "ledger/r.json"} {
		if got := string(a.get(t, name)); got != newer {
			t.Errorf("%s was written over: %s", name, got)
		}
	}
}

// What the first program would misread is in a format that it leaves alone; what it
// reads is in its own, also after it was not.
func TestStored_FormatIsTheOldestThatLosesNothing(t *testing.T) {
	a := newAccount(t)
	format := func(name string) any { return members(t, a.get(t, name))["Format"] }
	mark := []plan.Mark{{Column: "Timestamp", Through: at(3, 0, 0)}}
	filters := []plan.Filter{{Column: "Timestamp", After: at(3, 0, 0)}}
	for i, tt := range []struct {
		name   string
		key    plan.Key
		state  plan.TableState
		ledger plan.Ledger
		want   float64
	}{
		{"plain", deviceInfo, plan.TableState{Marks: plan.Marks{Ended: at(3, 0, 0)}}, plan.Ledger{Nulls: 3}, 1},
		{"a former watermark column", deviceInfo, plan.TableState{Marks: plan.Marks{Older: mark}}, plan.Ledger{Table: plan.Table{Filters: filters}}, 2},
		{"a former one of which nothing is held any more", deviceInfo, plan.TableState{}, plan.Ledger{}, 1},
		{"another instance", plan.Key{Instance: "contoso", Source: "DeviceInfo"}, plan.TableState{}, plan.Ledger{Instance: "contoso"}, 2},
	} {
		h := acquire(t, a.store(nil), tt.key)
		saveState(t, h, tt.state)
		tt.ledger.RunID = fmt.Sprint("r", i)
		saveLedger(t, h, tt.ledger)
		state := "state/default/DeviceInfo.json"
		if tt.key.Instance != "" {
			state = "state/contoso/DeviceInfo.json"
		}
		if s, l := format(state), format("ledger/"+tt.ledger.RunID+".json"); s != tt.want || l != tt.want {
			t.Errorf("%s: state in format %v, ledger in %v, want %v", tt.name, s, l, tt.want)
		}
		if err := h.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if read, err := a.store(nil).Read(t.Context(), tt.key); err != nil || read == nil {
			t.Errorf("%s: read again: %v", tt.name, err)
		}
	}
}

// An older program keeps one instant only: what it has written since counts.
func TestStored_StateOfAnOlderProgramInBetween(t *testing.T) {
	a := newAccount(t)
	a.put(t, "state/default/DeviceInfo.json", `{"Format":1,"Source":"DeviceInfo","Settled":"2026-11-05T00:00:00Z"}`)
	got := acquire(t, a.store(nil), deviceInfo).State()
	if want := at(5, 0, 0); !got.LastEnded.Equal(want) || !got.ForeignSince.Equal(want) {
		t.Errorf("ended %v, other apps' rows looked for since %v; want %v for both", got.LastEnded, got.ForeignSince, want)
	}
}

func at(day, hour, minute int) time.Time {
	return time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC)
}

// sampleState has every field set.
func sampleState() plan.TableState {
	mark := at(3, 10, 0).Add(1234567 * plan.Tick)
	rewind := at(1, 6, 0)
	table := plan.Table{
		Instance: "contoso", Source: "DeviceInfo", Destination: "DeviceInfoRaw", WatermarkColumn: "Timestamp", Load: plan.Incr, Active: true,
		LastRefreshed: at(2, 0, 0), Frequency: "PT6H", RunID: "app00120261102000000aaaaaaaa", Generation: 3, Ingested: at(2, 0, 5),
	}
	published := table
	published.LastRefreshed, published.RunID, published.Generation, published.Ingested = mark, "app00120261103110000bbbbbbbb", 6, at(3, 11, 1)
	row := published.Row()
	row.Ingested = at(3, 11, 2)
	return plan.TableState{
		Format: 1, Instance: "contoso", Source: "DeviceInfo", Generation: 7, Watermark: mark,
		OpenRun: "app00120261103120000cccccccc", LastRun: "app00120261103110000bbbbbbbb", NotBefore: at(3, 15, 0), Width: 812.5, Nulls: 4,
		LastEnded: at(3, 11, 0), ForeignSince: at(3, 11, 0),
		Rebuilt: true, Restarts: 2, Rewind: &rewind,
		Command: at(2, 0, 5), Table: table, Published: []plan.Table{table, published},
		Outbox: []plan.Outgoing{
			{Tag: "app001DeviceInfog7s11r123456", Config: &row},
			{Tag: "app001DeviceInfog7s12rabcdef", Audit: &plan.Audit{
				TableName: "DeviceInfoRaw", Timestamp: at(3, 11, 0), Status: plan.Surplus, FailureReason: "more rows than were sent", RecordCount: 5000,
				Instance: "contoso", SourceTable: "DeviceInfo", RunID: "app00120261103110000bbbbbbbb", AttemptID: "11111111-2222-3333-4444-555555555555",
				WindowFrom: at(2, 0, 0), WindowTo: mark, Slices: 3, Calls: 5, Bytes: 4_062_500, Duration: 90 * time.Second, API: "graph", Note: "a note; another",
			}},
		},
		Seq: 12,
	}
}

// newState is that of a table that has been configured and nothing else.
func newState() plan.TableState {
	return plan.TableState{
		Format: 1, Source: "DeviceInfo", Generation: 1, Nulls: plan.NullsNotCopied, Rebuilt: true,
		Table: plan.Table{Source: "DeviceInfo", Destination: "DeviceInfoRaw", Load: plan.Full, Active: true},
	}
}

// sampleLedger has a slice in each state.
func sampleLedger() plan.Ledger {
	s := sampleState()
	from, to := s.Watermark, at(3, 12, 0)
	part := func(no, hour int, rows int64) plan.Slice {
		return plan.Slice{No: no, Part: plan.PartWindow, Window: plan.Window{From: at(3, hour, 0), To: at(3, hour+1, 0)}, Lo: 0, Hi: plan.Buckets, Rows: rows}
	}
	blob := func(name string, rows int64) plan.Blob {
		return plan.Blob{Path: "https://store.blob.example/staging/" + name + ".json.gz", Rows: rows, Bytes: rows * 800}
	}
	uncounted := part(2, 1, -1)
	uncounted.Lo, uncounted.Hi = 16384, 32768
	return plan.Ledger{
		Format: 1, RunID: s.OpenRun, Generation: 7, Instance: "contoso", Table: s.Table, API: "graph", Started: at(3, 12, 10),
		Window: plan.Window{From: from, To: to}, More: true, Nulls: 4, Rewind: s.Rewind,
		Probe: "probe0001", ProbeSent: at(3, 12, 40), Next: 11,
		Slices: []plan.LedgerSlice{
			{Slice: part(1, 0, 900), State: plan.Planned},
			{Slice: uncounted, State: plan.Planned},
			{Slice: part(3, 2, 800), State: plan.Committing, Blob: blob("s3", 800), Sent: at(3, 12, 20), Sends: 2, Landed: 5, Cut: 1},
			{Slice: part(4, 3, 700), State: plan.Verified, Blob: blob("s4", 700), Sent: at(3, 12, 21), Sends: 1, Landed: 700, Surplus: 1400},
			{Slice: part(5, 4, 9000), State: plan.Retired},
			{Slice: part(6, 5, 600), State: plan.Voiding, Blob: blob("s6", 600), Sent: at(3, 12, 22), Sends: 4},
			{Slice: part(7, 6, 500), State: plan.Void, Blob: blob("s7", 500), Sent: at(3, 12, 23), Sends: 3, Landed: 250},
			{Slice: part(8, 6, 500), State: plan.Committing, Blob: blob("s7", 500), Voids: 1},
			{Slice: plan.Slice{No: 9, Part: plan.PartNull, Lo: 0, Hi: plan.Buckets, Rows: 4}, State: plan.Planned},
			{Slice: part(10, 7, 0), State: plan.Verified},
		},
		Calls: 14, Attempts: 3, Bytes: 1_600_000, Notes: []string{"a note", "another"},
	}
}

// snapshotLedger is that of a snapshot's run that ended.
func snapshotLedger() plan.Ledger {
	table := plan.Table{Source: "DeviceTvmSoftwareInventory", Destination: "DeviceTvmSoftwareInventoryRaw", Load: plan.Snapshot, Active: true, Frequency: "1d"}
	return plan.Ledger{
		Format: 1, RunID: "app00120261104000000dddddddd", Generation: 2, Table: table, API: "mde", Started: at(4, 0, 0),
		SnapshotTime: at(4, 0, 0).Add(1500 * time.Millisecond), Total: 321, Newest: at(3, 23, 0), Restarts: 1, Next: 2,
		Slices: []plan.LedgerSlice{{
			Slice: plan.Slice{No: 1, Part: plan.PartAll, Lo: 0, Hi: plan.Buckets, Rows: 321}, State: plan.Verified,
			Blob: plan.Blob{Path: "https://store.blob.example/staging/all.json.gz", Rows: 321, Bytes: 64_200}, Sent: at(4, 0, 2), Sends: 1, Landed: 321,
		}},
		Calls: 3, Attempts: 1, Bytes: 64_200, Notes: []string{"begun again 1 times because the table changed while it was copied"}, Ended: at(4, 0, 6), Status: string(plan.Success),
	}
}
