package mutants

// countMutants take less than everything for everything: an answer cut short, a
// throttled count, a part of the rows.
func countMutants() []mutant {
	queries := suite{"internal/defender", "^TestQueries$"}
	return []mutant{
		one("page-by-take", "a query is cut by take, and nobody reads the rest",
			queryFile, "return selection(t, s) }", `return selection(t, s) + " | take 95000" }`, queries),
		one("page-by-row-number", "pages are cut by row numbers of a table that moves",
			queryFile, "return selection(t, s) }", `return selection(t, s) + " | serialize n = row_number() | where n <= 95000 | project-away n" }`, queries),
		one("second-half-forgotten", "of a slice refused as too large only the first half is copied",
			lifeFile, "	a, b, ok = s.Split(l.Next)\n	if ok {\n		l.replaceByParts(s, a, b)", "	a, b, ok = s.Split(l.Next)\n	if ok {\n		l.replaceByParts(s, a)", pipelineTests("^TestMigrate_SilentCutIsFound$")),
		one("cap-is-not-a-cut", "an answer of exactly 100,000 rows counts as whole",
			"internal/defender/client.go", "if err == nil && res.Capped {", "if err == nil && res.Capped && res.Rows > plan.MaxRows {",
			suite{"internal/defender", "^TestClient_Failures$"}),
		one("cap-counted-wrong", "an answer counts as cut only beyond the cap, which it never is",
			"internal/rowpath/copy.go", "c.res.Rows >= opt.MaxRows", "c.res.Rows > opt.MaxRows", suite{"internal/rowpath", "^TestCopy_Capped$"}),
		one("counts-cut", "counts cut at the cap are planned with",
			"internal/defender/count.go", "	if res.Capped {", "	if res.Capped && res.Rows > plan.MaxRows {",
			suite{"internal/defender", "^TestClient_CountsThatAreCut"}),
		one("received-not-compared", "rows received are not compared with rows counted",
			runFile, "	if received.Rows == s.Rows {", "	if received.Rows >= 0 {", pipelineTests("^TestMigrate_SilentCutIsFound$")),
		one("repetition-settles", "an unequal answer stands when the count is the same again",
			runFile, "	if counts[0] == received.Rows {", "	if counts[0] == s.Rows {", pipelineTests("^TestMigrate_SilentCutIsFound$")),
		one("throttled-is-empty", "a refused count is taken for an empty table",
			planFile, "		if err != nil {\n			return counts, err\n		}\n		bin", "		if err != nil {\n			return counts, nil\n		}\n		bin",
			pipelineTests(anySchedule)),
		one("commit-on-producers-error", "an answer that breaks off is staged as if it were whole",
			"internal/adx/stage.go", "	pw.CloseWithError(produceErr)", "	pw.CloseWithError(nil)",
			suite{"internal/adx", "^TestStage_ProducersErrorComesBackAsItIsAndNothingIsCommitted$"}),
		one("nulls-copied-in-every-run", "rows without a watermark are copied again in each run",
			finishFile, "		r.m.state.Nulls = l.Nulls\n", "		r.m.state.Nulls = plan.NullsNotCopied\n",
			pipelineTests("^TestMigrate_NullWatermarksAreCopiedOnce$")),
		one("nulls-never-copied", "rows without a watermark are left out in silence",
			planFile, "	case counts.Nulls == 0:\n", "	case counts.Nulls >= 0:\n",
			pipelineTests("^TestMigrate_NullWatermarksAreCopiedOnce$|^TestMigrate_AllNullWatermarksFailWithTheRemedy$")),
		one("retired-number-reused-in-split", "the half of a slice takes the number of the whole",
			lifeFile, "	a, b, ok = s.Split(l.Next)", "	a, b, ok = s.Split(s.No)", pipelineTests("^TestMigrate_SilentCutIsFound$")),
		one("retired-number-reused-in-repack", "slices packed again take numbers that were used",
			lifeFile, "		s.No = l.Next\n		l.Add(s)\n", "		s.No = max(1, l.Next-len(packed))\n		l.Add(s)\n",
			pipelineTests("^TestMigrate_PackedAgain")),
		one("retired-number-reused-in-refetch", "rows whose blob is gone are fetched under their old number",
			lifeFile, "		again.Rows = -1\n	} else {", "		again.Rows, again.No = -1, no\n	} else {", pipelineTests("^TestMigrate_StagedBlobsGone$|^TestMigrate_AStagedBlobGone")),
		one("void-number-reused", "the number under which a void slice's rows come again is given out twice",
			lifeFile, "	l.Next++\n	l.Slices = append(l.Slices, again)\n", "	l.Slices = append(l.Slices, again)\n", pipelineTests("^TestMigrate_PartOfASlice")),
	}
}
