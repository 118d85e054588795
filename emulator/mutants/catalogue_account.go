package mutants

// accountMutants lose sight of rows: a count is believed that should not be, a
// difference is not posted, or a column that was left is forgotten.
func accountMutants() []mutant {
	const account, marks, width, judge = "internal/plan/account.go", "internal/plan/marks.go", "internal/plan/width.go", "internal/plan/judge.go"
	tests := func(run string) suite { return suite{pkg: "internal/plan", run: run} }
	return []mutant{
		one("smaller-count-believed", "of two counts the smaller is believed",
			account, "return max(first, second) }", "return min(first, second) }", tests("^TestBelieve_")),
		one("zero-not-doubted", "a count of nothing is believed where nothing else is known",
			account, "return rows <= 0\n", "return false\n", tests("^TestDoubtful_")),
		one("quiet-counted-again", "an empty window is never counted twice",
			account, "return rows == 0 && lastRows > 0 }", "return false }", tests("^TestDoubtful_")),
		one("arrived-beside-empty", "rows that arrived in one part hide that another has no line",
			account, "sum < parent || sum != parent && n <= 0", "sum < parent || parent < 0 && n <= 0", tests("^TestSuspicious_")),
		one("young-rows-expire", "a cut smaller than what expired passes for expiry",
			account, "return DivideAtEdge\n", "return Accept\n", tests("^TestReceive_")),
		one("gap-explained-away", "fewer rows are explained even after the last count",
			account, "case !a.Closed:", "default:", tests("^TestAccount_Closes")),
		one("difference-not-posted", "what an answer differs from its count is not posted",
			account, "	l.Account.post(diff, s.Expiring(l.Account.Edge))\n", "", tests("^TestAccount_Conserves|^TestLedger_AnySequence")),
		one("siblings-not-moved", "rows that arrive in a part are taken from its sibling's",
			account, "		p.Rows += diff\n", "		_ = p\n", tests("^TestAccount_Conserves|^TestLedger_AnySequence")),
		one("parent-dropped", "a divided slice is forgotten before its parts are counted",
			lifeFile, "return s.State == Retired && !waiting[s.No] && !(s.Rows >= 0 && waiting[s.Parent])", "return s.State == Retired", tests("^TestLedger_|^TestAccount_")),
		one("packed-again-short", "packing again may leave rows out",
			lifeFile, "	if before != after {", "	if before != after && packed == nil {", tests("^TestLedger_RepackRefuses")),
		one("late-after-column", "what arrived late for an event column is left out when arrival takes over",
			marks, "f.OrArrivedPast = m.Ended", "f.OrArrivedPast = m.Ended.AddDate(1, 0, 0)", tests("^TestFilters_")),
		one("column-forgotten", "a watermark goes over to another column",
			marks, "s.Watermark, s.Nulls = time.Time{}, NullsNotCopied", "s.Nulls = NullsNotCopied", tests("^TestFilters_|^TestTableState_Turns")),
		one("nulls-left-out", "null rows that nobody copied are left out by the old column",
			marks, "OrNull: nullsLeft(m.Nulls)", "OrNull: false", tests("^TestTableState_Turns")),
		one("business-date-retires", "a business date's mark is forgotten after thirty days",
			marks, "return Table{WatermarkColumn: m.Column}.ArrivalTime() && ", "return ", tests("^TestTableState_Retires")),
		one("marks-not-made-again", "a state made again takes the newest column's watermark for all there ever was",
			marks, "	s.Turn(ran, commanded, settle)\n	s.Watermark,", "	s.Watermark,", tests("^TestTableState_MadeAgain")),
		one("filters-not-adopted", "a state made again of an open run forgets what that run leaves out",
			marks, "range l.Table.Filters {", "range l.Table.Filters[:0] {", tests("^TestTableState_MadeAgain")),
		one("row-of-the-turn", "the row of a run that a change of columns met counts as a watermark of the new one",
			migrationFile, "		if edited {\n", "		if edited && false {\n", pipelineTests("^TestScenario_R2_StateLost")),
		one("old-column-ends-the-new", "an open run by a new column is passed over for a watermark of the old one",
			migrationFile, "	if l.Table.WatermarkColumn != state.Table.WatermarkColumn ||", "	if", pipelineTests("^TestScenario_R2_StateLost")),
		one("third-refusal-too", "a service that refuses for other reasons shrinks slices without end",
			width, "w.refused != refusalsMeant {", "w.refused < refusalsMeant {", tests("^TestRowWidth_")),
		one("second-tenant", "a row of a second tenant copies the first one's rows again",
			"handler/app/instances.go", "		return nil, all.cfg.Unknown(key)\n", "		return all.order[0], nil\n", suite{"handler/app", "^TestInstances_"}),
	}
}
