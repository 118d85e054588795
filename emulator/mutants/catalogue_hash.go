package mutants

// hashMutants copy rows by two hash functions and take them for whole.
func hashMutants() []mutant {
	const division, ledger = "internal/plan/division.go", "internal/plan/ledger.go"
	const overlap, reread = "internal/adx/overlap.go", "internal/pipeline/division.go"
	tests := func(run string) suite { return suite{pkg: "internal/plan", run: run} }
	changes := pipelineTests("^TestScenario_R8_HashChangesInAWindow$")
	return []mutant{
		one("overlap-not-asked", "a run ends well with rows that stand in two of its parts",
			finishFile, "			well, err = r.disjoint(ctx)\n", "			well = true\n", changes),
		one("snapshot-overlap-not-asked", "a snapshot ends well with rows that stand in two of its parts",
			finishFile, "change, err := r.straddling(ctx)", "change, err := \"\", error(nil)", pipelineTests("^TestScenario_R8_HashChangesInOneFetch")),
		one("vanished-rows-believed", "rows that are in no part count as gone",
			finishFile, "r.table.Load == plan.Snapshot || !r.ledger.Vanished()", "true", pipelineTests("^TestScenario_R8_RowsInNoBucket$")),
		one("read-again-for-ever", "a hash that never stays has its rows read again without end",
			reread, "r.ledger.Rereads, plan.MaxVoids)", "r.ledger.Rereads, 1<<30)", pipelineTests("^TestScenario_R8_HashNeverStays$")),
		one("rereads-not-counted", "nobody counts how often rows were read again",
			reread, "	r.ledger.Rereads++\n", "", pipelineTests("^TestScenario_R8_HashNeverStays$")),
		one("parts-answer-alone", "a part that is read again answers to the number that it held by another hash",
			lifeFile, "Parent: cmp.Or(s.Whole, no)}", "Parent: cmp.Or(no, s.Whole)}", tests("^TestDoubled_")),
		one("same-blobs-again", "what stands in two parts is sent again as it is",
			lifeFile, "if readAgain || s.ReadAgain() || s.Blob.Path", "if readAgain || s.Blob.Path", tests("^TestDoubled_")),
		one("condemned-by-the-older", "of a slice that a program of before has condemned the same blob is sent again, short of what the source holds",
			lifeFile, "return s.Whole != 0 || s.Rows > s.Blob.Rows }", "return s.Whole != 0 }", tests("^TestReplace_")),
		one("doubled-rows-expected", "rows that stood twice are missed when they stand once",
			division, "	l.Account.Repeated -= extra\n", "", tests("^TestDoubled_")),
		one("last-count-of-other-parts", "a gap stays though the parts that it was of are read again",
			division, "	l.Account.Closed = false //", "	//", tests("^TestDoubled_")),
		one("older-version-sends-again", "the first version takes up a run whose parts are to be read again",
			ledger, " || slices.ContainsFunc(l.Slices, rereads) {", " {", tests("^TestDoubled_")),
		one("divisions-of-all-times", "parts of another bin are read again as well",
			division, "(d.Part != PartWindow || d.Window.From.Before(s.Window.To) && s.Window.From.Before(d.Window.To))", "true", tests("^TestDivisions_")),
		one("a-bucket-is-two-parts", "rows of one bucket, divided in time, count as rows in two parts",
			overlap, "| where Lo >= Hi |", "|", adxTests("^TestSink_KeepsThePipelinesContract$")),
		one("neighbours-share-a-bucket", "a row in two neighbouring parts is not seen",
			overlap, "| where Lo >= Hi |", "| where Lo > Hi |", adxTests("^TestSink_KeepsThePipelinesContract$")),
		one("null-rows-are-equal", "null rows prove another hash",
			overlap, " and isnotnull(Records) and isnull(Records._truncated)", " and isnull(Records._truncated)", adxTests("^TestOverlap_")),
		one("cut-rows-are-equal", "rows that are equal since they were cut prove another hash",
			overlap, " and isnull(Records._truncated)", "", adxTests("^TestOverlap_")),
	}
}
