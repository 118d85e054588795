package mutants

// sourceMutants are the rules of sources beside the hunting tables.
func sourceMutants() []mutant {
	unknown := suite{"internal/plan", "^TestLedger_FreezesRowsThatNobodyCounted$|^TestLedger_VerifiesAFileByWhatIsSeen$"}
	row := suite{"internal/plan", "^TestRow_ChecksSourcesBesideHuntingTables$"}
	return []mutant{
		one("uncounted-hunting-frozen", "a hunting table's slice is frozen that nobody counted",
			lifeFile, "	case s.Rows < 0 && !l.rowsUnknown():\n		return illegal(\"freeze", "	case false:\n		return illegal(\"freeze", unknown),
		one("list-blob-uncounted", "a list's blob is sent whose rows nobody knows, so that a part of it passes for all",
			lifeFile, "blob.Rows == RowsUnknown && l.Table.Kind() == schema.Files", "blob.Rows == RowsUnknown", unknown),
		one("file-seen-once", "a file of which some rows have come passes for whole",
			lifeFile, "	return rows > 0 && now.Sub(s.Glimpse.At) >= grace, nil", "	return rows > 0, nil", unknown),
		one("file-seen-growing", "a file that grew between two looks passes for whole",
			lifeFile, "s.Glimpse.At.IsZero() || s.Glimpse.Rows != rows || ", "s.Glimpse.At.IsZero() || ", unknown),
		one("file-judged-by-too-few", "a file sent anew is held against the rows that were too few",
			lifeFile, "			again.Rows, again.Blob.Rows = RowsUnknown, RowsUnknown\n", "", unknown),
		one("list-by-arrival", "a list is copied by a column that it cannot be asked by",
			"internal/plan/source.go", "load != Snapshot && !slices.Contains(s.Watermarks, column) && len(s.Watermarks) > 0 || ", "", row),
		one("load-not-offered", "a list is copied in a way that it cannot be",
			"internal/plan/source.go", "!slices.Contains(s.Loads, string(load))", "false", row),
	}
}

// listMutants are the rules of lists.
func listMutants() []mutant {
	adapter := suite{"internal/defender", "^TestLists_ReadEvery|^TestLists_WithoutA|^TestScenario_Y[46]_"}
	return []mutant{
		one("list-read-once", "a list is read once, and what moved between its pages is missed",
			"internal/plan/source.go", "	return 2\n", "	return 1\n", pipelineTests("^TestList_CopiesEachVersionOnce$")),
		one("lists-take-hunting-calls", "lists are counted by the quota of hunting",
			"internal/pipeline/pipeline.go", "of(l.Source.Ready, l.Quota)", "of(l.Source.Ready, ports.Quota)", pipelineTests("^TestList_TakesCallsOfItsOwn$")),
		one("list-overlap-copied-again", "the overlap of a list is copied again by each run",
			listFile, "		q.From, q.Known = s.Window.From, known\n", "		q.From = s.Window.From\n", pipelineTests("^TestList_CopiesEachVersionOnce$")),
		one("list-without-overlap", "a version that comes late is missed",
			"internal/plan/source.go", "		from = from.Add(-s.Overlap)\n", "", pipelineTests("^TestScenario_Y2_")),
		one("list-record-forgotten-early", "what a list has shown is forgotten while the overlap can show it again",
			listFile, "	begin := r.table.ListMemory(mark.Add(-2 * r.m.cfg.Settle))\n", "	begin := mark\n", pipelineTests("^TestList_CopiesEachVersionOnce$")),
		one("list-record-of-one-run", "a version that one run's reads missed is copied again by the next",
			listFile, "answer.Shown.Since(begin, known)", "answer.Shown.Since(begin, nil)", pipelineTests("^TestList_KnowsWhatOneRunHasMissed$")),
		one("list-record-dropped-early", "the record of what a list has shown is dropped while the state names it",
			finishFile, "l.Known != \"\" && l.Known != l.Shown", "l.Known != \"\"", pipelineTests("^TestScenario_Y4_")),
		one("list-period-forgotten", "changes of the period in which a read begins are copied twice",
			"internal/plan/source.go", "		mark = mark.Add(-sincePeriod)\n", "", suite{"internal/plan", "^TestTable_ListMemory"}),
		one("list-before-the-users-watermark", "an overlap reaches before the watermark that the user set",
			listFile, "	if begin.Before(l.Floor) {", "	if false {", pipelineTests("^TestScenario_Y7_")),
		one("list-guessed-without-record", "the overlap is copied again where nobody knows what was shown",
			listFile, "known == nil && r.table.Load != plan.Snapshot {", "false {", pipelineTests("^TestScenario_Y3_")),
		one("list-by-our-clock", "rows that the service's clock has not settled are passed over",
			"internal/plan/ledger.go", "		if to := Ticks(now.Add(-settle)); to.Before(l.Window.To) {", "		if to := Ticks(now.Add(-settle)); to.IsZero() {", pipelineTests("^TestList_WatermarkIsByTheServicesClock$")),
		one("list-record-swept", "the record of what a list has shown is swept away while its state names it",
			"internal/state/versions.go", "inUse || t.Versions == name || ", "inUse || ", suite{"internal/state", "^TestSweep_DeletesOldRecordsOfLists$"}),
		one("list-link-anywhere", "the token goes to whatever host a link names",
			"internal/defender/list.go", "	if !own || !address.Trusted(at)", "	if !own && false || !address.Trusted(at)", adapter),
		one("list-twin-by-id", "a new version of a thing is taken for a twin",
			"internal/defender/version.go", "append(append([]string{}, source.Key...), source.Version)", "source.Key", adapter),
		one("list-cut-page-is-the-end", "a page that the service cut below what was asked for ends the list",
			"internal/defender/list.go", " || page.Read%roundCap == 0", "", adapter),
		one("list-wrong-address-is-empty", "a wrong address passes for a list without rows",
			"internal/defender/list.go", "return named || silent", "return named || !silent || true", adapter),
		one("list-link-that-ran-out-is-the-end", "a list ends where the service has forgotten the page that it named, and the watermark moves on",
			"internal/defender/list.go", "StatusNotFound && r.linked:", "StatusNotFound && false:", adapter),
		one("list-of-one-row-twice", "a list that is one row with the time of the call is read twice, into two rows",
			"internal/plan/source.go", "ok && s.Single {", "ok && s.Single && false {", pipelineTests("^TestList_OfOneRow")),
		one("list-retired-is-empty", "an API that is no more passes for a list without rows",
			"internal/defender/list.go", " || retired.MatchString(said.message)", "", adapter),
		one("list-of-graph-is-empty", "a wrong address at Graph passes for a list without rows",
			"internal/defender/list.go", " || r.source.API != schema.APIMDE", "", adapter),
		one("list-that-had-rows-is-empty", "a list that is not documented to answer so ends with a 404 after it had rows",
			"internal/defender/list.go", "(r.skipped > 0 || r.query.Known.Len() == 0 &&", "(true || r.query.Known.Len() == 0 &&", adapter),
		one("list-order-of-members", "a row whose members come in another order is another row",
			"internal/defender/version.go", "	if decoder.Decode(&value) == nil {", "	if decoder.Decode(&value) != nil {", adapter),
		one("list-half-page-lost", "rows of a page that broke off are lost when it is asked for again",
			"internal/rowpath/copy.go", "		if opt.Keep != nil {\n			if failed", "		if opt.Keep == nil {\n			if failed", suite{"internal/rowpath", "^TestCopy_WritesWhatWasKept"}),
	}
}
