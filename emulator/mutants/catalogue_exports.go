package mutants

// exportMutants lose files of exports, double them, or tell their addresses.
func exportMutants() []mutant {
	const (
		exportFile = "internal/pipeline/export.go"
		ofExports  = "internal/defender/export.go"
	)
	return []mutant{
		one("ledger-for-each-fifty-files", "the ledger of a large export is written so often that its bytes grow with the square of the files",
			"internal/pipeline/export.go", "max(fileBatch, len(r.ledger.Slices)/fileBatches)", "fileBatch", pipelineTests("^TestExport_LedgerIsWrittenSeldom")),
		one("file-id-after-the-send", "a kill between the send of a file and its record leaves a part of it, of which nobody can ask",
			copyFile, "Blob: s.Blob, SourceID: s.SourceID,\n", "Blob: s.Blob,\n", pipelineTests("^TestScenario_X3_FileTakenInInPartAfterAKill$")),
		one("file-id-of-the-sdk", "ADX reports an ingestion under another id than the ledger's",
			"internal/adx/sourceid.go", "				id.Set(reflect.ValueOf(o.id))\n", "", suite{"internal/adx", "^TestEnqueue_IsReportedUnderTheIDGiven$"}),
		one("late-file-is-empty", "a file whose rows show long after the report counts as empty",
			exportFile, "waited < emptyAfter*r.m.cfg.Grace:", "waited < r.m.cfg.Grace:", pipelineTests("^TestScenario_X15_")),
		one("address-used-for-ever", "a file is sent again by the address that did not work",
			exportFile, " || !o.asked.After(o.stale) {", " {", pipelineTests("^TestScenario_X2_")),
		one("address-for-each-file", "new addresses are asked for once for each file that failed",
			exportFile, "	if before.After(o.stale) {\n		o.stale = before\n", "	if !before.IsZero() {\n		o.stale = o.asked\n", pipelineTests("^TestScenario_X2_")),
		one("generations-mixed", "files of a newer export are sent for an older one",
			exportFile, "	if !o.Generated.Equal(r.ledger.SnapshotTime) {", "	if false {", pipelineTests("^TestScenario_X5_")),
		one("export-torn-for-ever", "an export that is made anew all the time is begun again without end",
			tornFile, "	if r.table.IsExport() && r.m.state.Restarts >= maxRestarts {", "	if false {", pipelineTests("^TestScenario_X5_NewGenerationEachTime$")),
		one("part-of-an-export-shown", "the audit row of an export that lacks files names its run",
			exportFile, "	row.Calls = l.Calls + r.calls.taken()\n", "	row = ofRun(row, l)\n", pipelineTests("^TestScenario_X5_NewGenerationEachTime$")),
		one("export-copied-each-tick", "an unchanged export is copied again",
			exportFile, "	case len(l.Slices) > 0 && generated.After(mark):", "	case len(l.Slices) > 0:", pipelineTests("^TestScenario_X1_")),
		one("export-asked-for-each-tick", "an unchanged export counts as never looked at",
			exportFile, "	m.state.LookedAt(l.Started, m.lease.ServiceNow())\n", "", pipelineTests("^TestScenario_X1_")),
		one("export-of-nothing-shown", "an export without files is a snapshot of nothing",
			exportFile, "	case len(l.Slices) > 0 && generated.After(mark):", "	case generated.After(mark):", pipelineTests("^TestScenario_X7_")),
		one("part-of-a-file-counts", "a file that ADX took in in part counts as whole",
			exportFile, "	case report.State == plan.IngestPartial, report", "	case report", pipelineTests("^TestScenario_X3_")),
		one("part-of-a-file-succeeds", "a report of a part is read as one of success",
			"internal/adx/ingeststatus.go", "		s.State = plan.IngestPartial\n", "		s.State = plan.IngestSucceeded\n", suite{"internal/adx", "^TestVerdict_"}),
		one("rows-from-before-the-report", "a file's rows are those of a look before its ingestion had ended",
			"internal/pipeline/confirm.go", "		if succeeded {\n", "		if succeeded && false {\n", pipelineTests("^TestScenario_X13_")),
		one("changes-of-nothing", "changes that do not reach back far enough have no whole to go on from",
			"internal/pipeline/changes.go", "!begin.After(r.ledger.Window.From) {", "begin.After(r.ledger.Window.From) {", pipelineTests("^TestScenario_X14_")),
		one("export-not-recommended", "nobody learns of the export that spares a table hundreds of scans",
			"internal/pipeline/plan.go", "len(l.Slices) > manyScans {", "len(l.Slices) < 0 {", pipelineTests("^TestMigrate_ManyScans")),
		one("plan-copies-an-export", "a plan of an export tells nothing of its files",
			"internal/pipeline/forecast.go", "	f.Export = m.offer.Export\n", "", pipelineTests("^TestForecast_OfAnExport$")),
		one("address-in-the-ledger", "the ledger keeps the signed address of a file",
			"internal/plan/export.go", "Blob{Path: f.Name,", "Blob{Path: f.URL.Reveal(),", pipelineTests("^TestScenario_X1_")),
		one("exports-take-hunting-calls", "exports are counted by the quota of hunting",
			"internal/pipeline/pipeline.go", "p.exports = of(ports.Exports.Ready, ports.ExportQuota)", "p.exports = of(ports.Exports.Ready, ports.Quota)", pipelineTests("^TestScenario_X10_")),
		one("export-by-plain-http", "files are fetched from an address that anybody can listen to",
			ofExports, "err != nil || !address.Trusted(u) ||", "err != nil || !address.Trusted(u) && false ||", suite{"internal/defender", "^TestExports_FailuresHaveAKind"}),
		one("files-of-one-name", "of two files of one name one is dropped",
			ofExports, "		case twice && host == u.Host:\n", "		case twice && host != \"\":\n", suite{"internal/defender", "^TestExports_FailuresHaveAKind"}),
		one("file-read-as-somebody-else", "an address may have the cluster read as another identity",
			"internal/adx/ingest.go", " || strings.Contains(signed, \";\") {", " || strings.Contains(signed, \"\\n\") {", suite{"internal/adx", "^TestEnqueue_RefusesAFile"}),
		one("export-at-the-hunting-address", "exports are asked for where the address of another API points",
			"handler/app/lists.go", "			d.BaseURL = \"\"\n", "", suite{"handler/app", "^TestRestEndpoint_"}),
	}
}
