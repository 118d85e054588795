package pipeline_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios of file exports: ADX fetches the files by signed addresses, and nobody
// knows beforehand how many rows they hold.

func TestScenario_X1_ExportIsCopiedOncePerGeneration(t *testing.T) {
	w := newExportWorld(1, 12)
	w.run(5 * time.Minute)
	w.current(t)
	if got := w.last(); got.RecordCount != 78 || got.Slices != 12 || got.API != "mde" || got.Calls != 1 {
		t.Errorf("audit %+v", got)
	}
	sent, said := len(w.sent), len(w.audits)
	w.run(5 * time.Hour)
	if s := w.state(t, exportKey); w.now.Sub(s.LastStarted) > time.Hour || w.now.Sub(s.Served) > time.Hour {
		t.Errorf("looked at last %v, by the state", s.LastStarted)
	}
	if len(w.sent) != sent || len(w.audits) != said || len(w.config) != 2 || w.tried["export"] != 6 {
		t.Errorf("an unchanged export: %d files sent again, %d calls:%s", len(w.sent)-sent, w.tried["export"], w.story())
	}
	w.generate(7)
	w.run(2 * time.Hour)
	w.current(t)
	if w.count(exportKey.Source, plan.Success) != 2 || len(w.sent) != sent+7 {
		t.Errorf("%d files sent:%s", len(w.sent), w.story())
	}
	if w.calls != 0 || len(w.staged) != 0 {
		t.Errorf("%d hunting calls, %d staged blobs, want none", w.calls, len(w.staged))
	}
}

// ADX lets the files wait until their addresses are signed no more.
func TestScenario_X2_AddressesExpire(t *testing.T) {
	w := newExportWorld(2, 30)
	w.exports.signedFor, w.delay = time.Minute, 2*time.Minute
	if err := w.wakeExport(plan.Scheduled); err != nil {
		t.Fatal(err)
	}
	w.deliverDue(5 * time.Minute)
	w.delay = 5 * time.Second
	w.run(time.Hour)
	w.current(t)
	if w.tried["export"] > 3 || len(w.sent) != 60 || len(w.voids) != 0 {
		t.Errorf("%d calls for new addresses, %d files sent, %d hidden; want one call for all:%s", w.tried["export"]-1, len(w.sent), len(w.voids), w.story())
	}
	if note := w.last().Note; !strings.Contains(note, "Download_Forbidden") {
		t.Errorf("the audit row does not say what happened: %q", note)
	}
}

// The same while one invocation looks on.
func TestScenario_X2_AddressesExpireAtOnce(t *testing.T) {
	w := newExportWorld(2, 8)
	w.exports.signedFor = 3 * time.Second
	w.after(8, "enqueue", func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.delay, w.exports.signedFor = time.Second, time.Hour
		return nil
	})
	w.run(time.Hour)
	w.current(t)
	if w.tried["acquire"] != 1 || w.tried["export"] != 2 || len(w.sent) != 16 {
		t.Errorf("%d invocations, %d calls, %d files sent; want 1, 2 and 16:%s", w.tried["acquire"], w.tried["export"], len(w.sent), w.story())
	}
}

// A file is taken in in part: what is there is hidden and the file sent once more.
func TestScenario_X3_FileTakenInInPart(t *testing.T) {
	w := newExportWorld(3, 6)
	struck := false
	w.fate = func(in plan.Ingestion) fate {
		if in.Slice == 5 && !struck {
			struck = true
			return partial
		}
		return well
	}
	w.run(30 * time.Minute)
	w.current(t)
	if len(w.voids) != 1 || len(w.sent) != 7 || w.sent[6].Slice != 7 {
		t.Errorf("%d hidden, %d sent:%s", len(w.voids), len(w.sent), w.story())
	}
}

// The ledger is written whole, so that one write for a number of files would cost more the
// more there are.
func TestExport_LedgerIsWrittenSeldomForManyFiles(t *testing.T) {
	w := newExportWorld(17, 600)
	w.cfg.Budget, w.cfg.CallsInFlight = time.Hour, 4
	for i, name := range w.exports.names {
		w.exports.files[name] = w.exports.files[name][:1+i%2]
	}
	if w.run(time.Hour); w.last().Status != plan.Success || w.last().Slices != 600 {
		t.Fatalf("audit:%s", w.story())
	}
	if n := w.tried["save ledger"]; n > 13 {
		t.Errorf("the ledger was written %d times", n)
	}
}

// Where all are refused, too: each write would be as large as the export.
func TestExport_RefusedFilesAreWrittenDownTogether(t *testing.T) {
	w := newExportWorld(17, 600)
	for i, name := range w.exports.names {
		w.exports.files[name] = w.exports.files[name][:1+i%2]
	}
	w.cfg.Budget, w.cfg.CallsInFlight = time.Hour, 14
	w.ill = []*mishap{{call: "enqueue", last: 75, do: func(*process) error {
		return fault.Mark(fault.As(fault.Retry, errors.New("503")), fault.ErrNotQueued)
	}}}
	if err := w.wakeExport(plan.Scheduled); err == nil || w.tried["enqueue"] != 75 {
		t.Fatalf("%d files were sent, %v", w.tried["enqueue"], err)
	}
	if n := w.tried["save ledger"]; n > 4 {
		t.Errorf("the ledger was written %d times", n)
	}
	if w.run(3 * time.Hour); w.last().Status != plan.Success || w.last().RecordCount != 900 || len(w.sent) != 600 {
		t.Errorf("%d files sent, audit:%s", len(w.sent), w.story())
	}
}

// The files of one write are sent side by side, in any order: that one of them is in ADX
// says nothing of another, which is sent again only after something that surely was later.
func TestExport_FilesOfOneWriteDoNotOvertakeEachOther(t *testing.T) {
	w := newExportWorld(18, 3)
	w.tick = time.Microsecond
	w.fate = func(plan.Ingestion) fate {
		if len(w.sent) == 1 {
			return lost
		}
		return well
	}
	for range 60 {
		if w.run(time.Minute); len(w.sent) > 3 {
			break
		}
	}
	if len(w.sent) != 4 || w.tried["probe"] == 0 {
		t.Errorf("%d files sent, %d probes:%s", len(w.sent), w.tried["probe"], w.story())
	}
	w.run(time.Hour)
	w.current(t)
}

// The id by which ADX is asked is chosen before a file is sent: whoever comes after a kill
// asks for what the dead process has sent.
func TestScenario_X3_FileTakenInInPartAfterAKill(t *testing.T) {
	for _, after := range []string{"enqueue", "save ledger"} {
		w := newExportWorld(3, 6)
		struck := false
		w.fate = func(in plan.Ingestion) fate {
			if in.Slice == 5 && !struck {
				struck = true
				return partial
			}
			return well
		}
		died := false
		w.ill = []*mishap{{call: after, after: true, do: func(p *process) error {
			if died || !struck {
				return nil
			}
			died = true
			return errDead
		}}}
		w.run(time.Hour)
		w.current(t)
		if !died || len(w.voids) != 1 {
			t.Errorf("killed %v after %s, %d hidden:%s", died, after, len(w.voids), w.story())
		}
	}
}

// A file that is late is sent again. It is the first that comes in, in part; the second is
// skipped for its tag and reported as a success, which says nothing of the first.
func TestScenario_X3_FirstOfTwoSendsTakenInInPart(t *testing.T) {
	w := newExportWorld(3, 6)
	w.ill = []*mishap{{call: "enqueue", after: true, do: func(*process) error {
		var twice []*arriving
		for i := range w.pending {
			if w.pending[i].in.Slice == 2 {
				twice = append(twice, &w.pending[i])
			}
		}
		switch len(twice) {
		case 1:
			twice[0].at, twice[0].fate = w.now.Add(24*time.Hour), partial
		case 2:
			twice[0].at, twice[1].at = w.now, w.now.Add(time.Second)
		}
		return nil
	}}}
	w.run(6 * time.Hour)
	w.current(t)
	if len(w.sent) != 6+2 || len(w.voids) != 1 {
		t.Errorf("%d files sent, %d hidden:%s", len(w.sent), len(w.voids), w.story())
	}
}

// The first send of a file was lost, and nothing shows of the second, a success: it counts
// as empty in the end, and is not sent for ever.
func TestExport_AFileWithoutRowsIsNotSentAgainAndAgain(t *testing.T) {
	w := newExportWorld(3, 6)
	sends := 0
	w.fate = func(in plan.Ingestion) fate {
		if in.Slice != 2 {
			return well
		}
		if sends++; sends == 1 {
			return lost
		}
		return unseen
	}
	w.run(12 * time.Hour)
	if sends != 2 || w.count(exportKey.Source, plan.Success) == 0 {
		t.Errorf("%d sends of the file:%s", sends, w.story())
	}
}

// One that is always taken in in part ends with the reason, and is never a Success.
func TestScenario_X3_FileAlwaysTakenInInPart(t *testing.T) {
	w := newExportWorld(3, 3)
	w.fate = func(in plan.Ingestion) fate {
		if strings.HasSuffix(in.Blob.Path, "00002.json.gz") {
			return partial
		}
		return well
	}
	w.run(3 * time.Hour)
	w.truthfulExports(t)
	if got := w.last(); w.count(exportKey.Source, plan.Success) != 0 || got.Status != plan.Failed || !strings.Contains(got.FailureReason, ".show ingestion failures") {
		t.Errorf("audit:%s", w.story())
	}
	if len(w.sent) > 12 {
		t.Errorf("%d files sent", len(w.sent))
	}
	w.mend()
	w.run(3 * time.Hour)
	w.current(t)
}

// No status is to be had: a file stands when ADX shows as many rows twice, a grace apart.
func TestScenario_X4_NoStatus(t *testing.T) {
	w := newExportWorld(4, 5)
	w.exports.silent = true
	began := w.now
	w.run(10 * time.Minute)
	if len(w.audits) > 0 {
		t.Fatalf("rows that were seen once count as all:%s", w.story())
	}
	w.run(50 * time.Minute)
	w.current(t)
	if took := w.last().Timestamp.Sub(began); took < w.cfg.Grace {
		t.Errorf("took %v", took)
	}
	// A second part that comes in between begins the wait anew.
	w.generate(4)
	w.run(5 * time.Minute)
	w.run(time.Hour)
	w.current(t)
}

// Without a status, a file of which more rows come in later is not believed early.
func TestScenario_X4_RowsThatGrow(t *testing.T) {
	w := newExportWorld(5, 4)
	w.exports.silent = true
	w.run(10 * time.Minute)
	for i := range w.extents {
		w.extents[i].ids = w.extents[i].ids[:1]
	}
	w.run(10 * time.Minute)
	for i := range w.extents {
		e := &w.extents[i]
		e.ids, _, _ = w.held(w.sent[i])
	}
	w.run(time.Hour)
	w.current(t)
}

// The export is made anew while files must be asked for again: the snapshot starts
// again, and nothing of the old one is shown.
func TestScenario_X5_NewGenerationInMidRun(t *testing.T) {
	for _, renamed := range []bool{true, false} {
		w := newExportWorld(6, 6)
		w.exports.renamed = renamed
		w.now = w.now.Add(time.Minute)
		w.generate(6)
		w.exports.signedFor, w.delay = time.Minute, 2*time.Minute
		if err := w.wakeExport(plan.Scheduled); err != nil {
			t.Fatal(err)
		}
		w.deliverDue(3 * time.Minute)
		w.generate(8)
		w.delay, w.exports.signedFor = 5*time.Second, time.Hour
		w.run(time.Hour)
		w.current(t)
		if w.count(exportKey.Source, plan.Torn) != 0 || !strings.Contains(w.last().Note, "begun again 1 times") {
			t.Errorf("audit:%s", w.story())
		}
	}
}

// It is made anew each time: after the fourth the run is Torn, by a row that no view
// takes for a snapshot, and the next run begins anew.
func TestScenario_X5_NewGenerationEachTime(t *testing.T) {
	w := newExportWorld(7, 3)
	w.run(10 * time.Minute)
	w.current(t)
	w.now = w.now.Add(time.Hour)
	w.generate(3)
	w.fate = func(plan.Ingestion) fate { return refused }
	w.repeatedly(2, 0, "export", func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.tried["export"]%2 == 1 {
			w.now = w.now.Add(time.Second)
			w.generate(3)
		}
		return nil
	})
	for range 40 {
		w.run(10 * time.Minute)
		if w.count(exportKey.Source, plan.Torn) > 0 {
			break
		}
	}
	got := w.last()
	if got.Status != plan.Torn || got.RunID != "" || !strings.Contains(got.FailureReason, "each of 4 attempts") || w.count(exportKey.Source, plan.Success) != 1 {
		t.Fatalf("audit:%s", w.story())
	}
	w.mend()
	w.run(3 * time.Hour)
	w.current(t)
}

// A process is killed at every step of a run.
func TestScenario_X6_KilledAtEveryStep(t *testing.T) {
	for _, call := range []string{"export", "take export", "save ledger", "save state", "enqueue", "landed", "status", "deliver", "acquire"} {
		for n := 1; n <= 4; n++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %d %v", call, n, after), func(t *testing.T) {
					w := newExportWorld(8, 5)
					if after {
						w.after(n, call, kill)
					} else {
						w.before(n, call, kill)
					}
					w.run(3 * time.Hour)
					w.ill = nil // a run has no fourth step of every kind
					w.current(t)
					if len(w.rowsOfRun(w.last().RunID)) == 0 && w.count(exportKey.Source, plan.Success) != 1 {
						t.Errorf("audit:%s", w.story())
					}
				})
			}
		}
	}
}

// An export without files is no snapshot of nothing: it is said once a day, and the
// last snapshot stays.
func TestScenario_X7_NoFiles(t *testing.T) {
	w := newExportWorld(9, 4)
	w.run(10 * time.Minute)
	w.current(t)
	w.now = w.now.Add(time.Hour)
	full := w.exports.generated
	w.generate(0)
	w.run(5 * time.Hour)
	w.truthfulExports(t)
	if w.count(exportKey.Source, plan.Success) != 1 || w.count(exportKey.Source, plan.Skipped) != 1 || !strings.Contains(w.last().FailureReason, "holds no file") {
		t.Errorf("audit:%s", w.story())
	}
	if !w.newest(exportKey.Source).LastRefreshedTime.Equal(full) {
		t.Error("the watermark passed an export of nothing")
	}
	w.generate(3)
	w.run(2 * time.Hour)
	w.current(t)
}

// A file without a row is one of the snapshot's all the same.
func TestScenario_X8_EmptyFile(t *testing.T) {
	for _, state := range []plan.IngestState{plan.IngestEmpty, plan.IngestSucceeded} {
		w := newExportWorld(10, 3)
		name := w.exports.names[1]
		gone := w.exports.files[name]
		w.exports.files[name] = nil
		w.exports.of[w.exports.generated] = append([]int{0}, w.exports.of[w.exports.generated][1+len(gone):]...)
		w.after(3, "enqueue", func(p *process) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			for i := range w.pending {
				if a := w.pending[i]; a.in.Blob.Path == name {
					w.pending[i].fate = unseen
					w.statuses[a.id] = plan.IngestStatus{State: state}
				}
			}
			return nil
		})
		w.run(time.Hour)
		w.current(t)
		if got := w.last(); got.Slices != 3 || !strings.Contains(got.Note, "holds no row") {
			t.Errorf("%s: audit:%s", state, w.story())
		}
	}
}

// The service takes a file in twice in spite of its tag, after it was counted: it is
// hidden and sent under a new number.
func TestScenario_X9_FileTakenInTwice(t *testing.T) {
	w := newExportWorld(11, 4)
	struck := false
	w.repeatedly(1, 0, "landed", func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, b := range w.ledgers {
			if l := w.ledger(t, b); !struck && l.Count(plan.Verified) == 4 {
				struck = true
				w.extents = append(w.extents, w.extents[2])
			}
		}
		return nil
	})
	w.run(time.Hour)
	w.current(t)
	if !struck || len(w.voids) != 1 || w.count(exportKey.Source, plan.Surplus) != 0 {
		t.Errorf("struck %v, %d hidden:%s", struck, len(w.voids), w.story())
	}
}

// The limit of exports is 5 calls a minute and 20 an hour: a run that finds it spent
// waits in the queue and never calls.
func TestScenario_X10_NoCallOverTheLimit(t *testing.T) {
	w := newExportWorld(12, 3)
	for range 20 {
		w.exports.taken = append(w.exports.taken, w.now.Add(-time.Minute))
	}
	w.run(30 * time.Minute)
	if w.tried["export"] != 0 || len(w.audits) != 0 || len(w.messages) == 0 {
		t.Fatalf("%d calls:%s", w.tried["export"], w.story())
	}
	w.run(2 * time.Hour)
	w.current(t)
}

// Any schedule of faults and kills: once things work again the newest export is there
// whole and once, and no Success was untrue.
func TestScenario_X11_AnyFaultScheduleOfExports(t *testing.T) {
	for seed := range uint64(rounds.Of(5, 10, 150)) {
		w := newExportWorld(3000+seed, 2+int(seed%7))
		w.chaos, w.kills = 0.12*w.rng.Float64(), 0.05*w.rng.Float64()
		w.exports.silent = seed%5 == 4
		w.exports.signedFor = time.Duration(1+w.rng.IntN(90)) * time.Minute
		for range 4 {
			w.run(2 * time.Hour)
			if w.rng.IntN(2) == 0 {
				w.generate(1 + w.rng.IntN(8))
			}
		}
		w.chaos, w.kills, w.exports.signedFor = 0, 0, time.Hour
		w.now = w.now.Add(time.Minute)
		w.generate(4)
		w.run(24 * time.Hour)
		w.current(t)
		if t.Failed() {
			t.Fatalf("schedule %d; faults %v", seed, w.faults)
		}
	}
}

// The service refuses the call for good: the audit row has the reason.
func TestScenario_X12_ExportIsRefused(t *testing.T) {
	w := newExportWorld(13, 3)
	w.repeatedly(1, 0, "export", func(*process) error {
		return fault.As(fault.Permanent, errors.New("app role Vulnerability.Read.All is missing"))
	})
	if err := w.wakeExport(plan.Scheduled); fault.KindOf(err) != fault.Permanent {
		t.Fatalf("got %v", err)
	}
	if got := w.last(); got.Status != plan.Failed || got.API != "mde" || !strings.Contains(got.FailureReason, "Vulnerability.Read.All") {
		t.Errorf("audit:%s", w.story())
	}
	w.mend()
	w.run(time.Hour)
	w.current(t)
}

// ADX shows a part of a file while its ingestion goes on, and reports the end between
// two looks: the rows that count are those of a look after the report.
func TestScenario_X13_RowsSeenBeforeTheReport(t *testing.T) {
	w := newExportWorld(14, 4)
	w.delay = 0
	var whole [][]int
	w.repeatedly(1, 0, "landed", func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.land()
		for i := range w.extents {
			if len(w.extents) == 4 && len(whole) < 4 {
				whole = append(whole, w.extents[i].ids)
				w.extents[i].ids = w.extents[i].ids[:1]
			}
		}
		return nil
	})
	w.before(1, "status", func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range w.extents {
			w.extents[i].ids = whole[i]
		}
		return nil
	})
	w.run(time.Hour)
	w.current(t)
	if len(whole) != 4 || len(w.voids) != 0 || w.count(exportKey.Source, plan.Surplus) != 0 {
		t.Errorf("%d files, %d hidden:%s", len(whole), len(w.voids), w.story())
	}
}

// ADX reports success and shows the rows after the grace time only: a file that does not
// show any is not empty by then.
func TestScenario_X15_RowsShownLongAfterTheReport(t *testing.T) {
	w := newExportWorld(16, 3)
	w.delay = w.cfg.Grace + 10*time.Minute
	w.repeatedly(1, 0, "status", func(*process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, a := range w.pending {
			w.statuses[a.id] = plan.IngestStatus{State: plan.IngestSucceeded}
		}
		return nil
	})
	w.run(2 * time.Hour)
	w.current(t)
	if w.last().RecordCount == 0 || strings.Contains(w.last().Note, "holds no row") {
		t.Errorf("a file counts as empty:%s", w.story())
	}
}

// A forecast of an export names its files and when they were made, and leaves nothing
// behind: of one that is new, one that was copied, one under way and one without files.
func TestForecast_OfAnExport(t *testing.T) {
	forecast := func(w *world) pipeline.Forecast {
		t.Helper()
		p := &process{world: w}
		before := w.written()
		f, err := pipeline.New(w.cfg, p.ports(), slog.New(slog.DiscardHandler)).Forecast(t.Context(), reader{p}, exportKey)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, w.written()); diff != "" {
			t.Errorf("the forecast left something behind:\n%s", diff)
		}
		if f.Asked != 1 || !f.Export.Generated.Equal(w.exports.generated) || len(f.Export.Files) != len(w.exports.names) {
			t.Errorf("%d calls, %d files of %v", f.Asked, len(f.Export.Files), f.Export.Generated)
		}
		return f
	}
	w := newExportWorld(15, 5)
	if f := forecast(w); f.Runs != 1 || f.Slices != 5 || f.Calls != 1 || f.OpenRun != "" {
		t.Errorf("a new one: %+v", f)
	}
	w.before(3, "landed", kill)
	if err := w.wakeExport(plan.Manual); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	if f := forecast(w); f.OpenRun == "" || f.Slices != 5 {
		t.Errorf("one under way: %+v", f)
	}
	w.run(time.Hour)
	w.current(t)
	if f := forecast(w); f.Runs != 0 || f.Slices != 0 || f.Calls != 0 {
		t.Errorf("one that was copied: %+v", f)
	}
	w.now = w.now.Add(time.Hour)
	w.generate(0)
	if f := forecast(w); f.Runs != 0 {
		t.Errorf("one without files: %+v", f)
	}
}

// A snapshot by hunting that scans its table many times names the export of the same
// data; few scans, and tables without one, do not.
func TestMigrate_ManyScansRecommendTheExport(t *testing.T) {
	for _, tt := range []struct {
		source string
		rows   int
		want   string
	}{
		{"DeviceTvmSoftwareVulnerabilities", 800, "api/machines/SoftwareVulnerabilitiesExport"},
		{"DeviceTvmSoftwareVulnerabilities", 100, ""},
		{"DeviceInfo", 800, ""},
	} {
		w := newWorld(16)
		w.config[0].SourceTable, w.config[0].LoadType = tt.source, "Snapshot"
		for range tt.rows {
			w.add(w.now.Add(-time.Hour)).source = tt.source
		}
		w.run(time.Minute)
		got := w.last()
		if found := strings.Contains(got.Note, "carries the same data"); found != (tt.want != "") || !strings.Contains(got.Note, tt.want) || got.Status != plan.Success {
			t.Errorf("%s, %d rows: %+v", tt.source, tt.rows, got)
		}
	}
}

// A list of changes reaches back 14 days. Where more is wanted, the export of the whole is
// copied by itself.
func TestScenario_X14_ChangesGoOnFromAWhole(t *testing.T) {
	const changes = "api/machines/SoftwareVulnerabilityChangesByMachine"
	for _, tt := range []struct {
		name   string
		change func(w *world)
		woken  bool
		note   string
	}{
		{"a first run", func(*world) {}, true, "is woken"},
		{"a watermark of last month", func(w *world) { w.config[1].LastRefreshedTime = w.now.AddDate(0, -1, 0) }, true, "is woken"},
		{"a watermark of last week", func(w *world) { w.config[1].LastRefreshedTime = w.now.AddDate(0, 0, -7) }, false, ""},
		{"a whole that is there", func(w *world) { w.config[0].LastRefreshedTime = w.now.AddDate(0, 0, -2) }, false, "they go on from"},
		{"a whole that is switched off", func(w *world) { w.config[0].IsActive = false }, false, "append a row for it"},
		{"a whole that nobody configured", func(w *world) { w.config = w.config[1:] }, false, "append a row for it"},
	} {
		w := newExportWorld(17, 4)
		w.list, w.versions = &listing{page: 7, frozen: map[part]map[int]bool{}, source: changes}, map[string][]byte{}
		for i := range 20 {
			w.list.things = append(w.list.things, w.list.version(w.now.Add(-time.Duration(i)*time.Hour)))
		}
		row := w.config[0]
		row.SourceTable, row.DestinationTable, row.LoadType, row.WatermarkColumn = changes, "SoftwareVulnerabilityChangesRaw", "Incr", "eventTimestamp"
		w.config = append(w.config, row)
		tt.change(w)
		if _, err := w.deliver(message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: plan.Key{Source: changes}, Trigger: plan.Scheduled}}}); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		w.deliverDue(5 * time.Minute)
		w.deliverDue(5 * time.Minute)
		if got := w.count(exportKey.Source, plan.Success) == 1; got != tt.woken || w.count(changes, plan.Success) != 1 {
			t.Errorf("%s: the whole was copied: %v, want %v:%s", tt.name, got, tt.woken, w.story())
		}
		for _, a := range w.audits {
			if a.SourceTable == changes && (!strings.Contains(a.Note, tt.note) || tt.note == "" && strings.Contains(a.Note, "changes")) {
				t.Errorf("%s: note %q", tt.name, a.Note)
			}
		}
	}
}

// A watermark that a person sets back has the same generation copied once more.
func TestMigrate_ExportSetBackIsCopiedAgain(t *testing.T) {
	w := newExportWorld(18, 4)
	w.run(10 * time.Minute)
	row := w.newest(exportKey.Source)
	row.LastRefreshedTime, row.Ingested = row.LastRefreshedTime.Add(-time.Hour), w.now
	w.config = append(w.config, row)
	w.run(2 * time.Hour)
	w.current(t)
	runs := map[string]bool{}
	for _, e := range w.extents {
		runs[e.runID] = true
	}
	if w.count(exportKey.Source, plan.Success) != 2 || len(runs) != 2 {
		t.Errorf("%d runs, want two:%s", len(runs), w.story())
	}
}
