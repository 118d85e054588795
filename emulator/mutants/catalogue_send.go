package mutants

// sendMutants break the rules of handing a blob over once: rows are lost when
// ADX loses a blob, or come twice when it does not.
func sendMutants() []mutant {
	blindly := edit{runFile,
		"	if r.ledger.Unconfirmed() > 0 {\n		if err := r.poll(ctx); err != nil {\n			return err\n		}\n	}\n	for {",
		"	for i := range r.ledger.Slices {\n		if s := &r.ledger.Slices[i]; s.State == plan.Committing {\n			if err := r.send(ctx, s.No); err != nil {\n				return err\n			}\n		}\n	}\n	for {"}
	patient := pipelineTests("^TestMigrate_ABlobOnItsWayIsNotSentAgain")
	return []mutant{
		one("checkpoint-before-verify", "a slice counts as copied once it is queued",
			runFile, "		return l.Freeze(no, blob, received.Cut, r.ports.Clock.Now())\n", "		if err := l.Freeze(no, blob, received.Cut, r.ports.Clock.Now()); err != nil {\n			return err\n		}\n		return l.Verify(no, blob.Rows)\n",
			pipelineTests("^TestMigrate_CopiesEveryRowOnce$")),
		one("checkpoint-while-in-doubt", "the run ends once nothing is left to fetch",
			runFile, "		if err := r.confirmAll(ctx); err != nil {\n			return err\n		}\n		if r.ledger.Done() {", "		if r.ledger.Count(plan.Planned) == 0 {",
			pipelineTests("^TestMigrate_CopiesEveryRowOnce$")),
		one("part-counts-as-whole", "a slice of which some rows show counts as copied",
			verdictFile, "	case landed.Rows < sent:\n		return Partial\n", "	case landed.Rows < sent:\n		return Complete\n", pipelineTests("^TestMigrate_PartOfASlice")),
		one("null-records-count", "rows that arrived without their content count as copied",
			verdictFile, "	case landed.Nulls > 0 && s.State == Committing:\n		return Nulls\n", "", pipelineTests("^TestMigrate_PartOfASlice")),
		one("ledger-after-enqueue", "a blob is sent before the ledger knows it",
			runFile, "	err = r.step(ctx, func(l *plan.Ledger) error {\n", "	sent := plan.Ingestion{Destination: r.table.Destination, RunID: r.ledger.RunID, Slice: no, SnapshotTime: r.ledger.SnapshotTime, Blob: blob}\n	if _, err := r.ports.Ingester.Enqueue(ctx, sent); err != nil {\n		return err\n	}\n	err = r.step(ctx, func(l *plan.Ledger) error {\n",
			pipelineTests("^TestMigrate_KilledAroundSending")),
		one("fetched-again-when-in-doubt", "a slice in doubt is read from the source again",
			confirmFile, "	if !staged {", "	if !staged || s.Sends > 0 {", pipelineTests("^TestMigrate_KilledAroundSending")),
		{name: "resend-without-asking", bug: "whoever takes a run up sends its blobs again without asking ADX", edits: []edit{blindly}, tests: patient},
		{name: "resend-without-asking-or-tag", bug: "the same, and nothing at ADX keeps the rows single either",
			edits: []edit{blindly, {"internal/adx/ingest.go", "		azkustoingest.IfNotExists(`[\"`+tag+`\"]`),\n", ""}},
			tests: suite{"internal/adx", "^TestEnqueue_SendsTheBlobWithTagMappingAndSize$"}},
		one("no-if-not-exists", "a blob taken in twice adds its rows twice",
			"internal/adx/ingest.go", "		azkustoingest.IfNotExists(`[\"`+tag+`\"]`),\n", "",
			suite{"internal/adx", "^TestEnqueue_SendsTheBlobWithTagMappingAndSize$"}),
		one("no-grace", "a blob is sent again as soon as it is not there",
			confirmFile, "	if r.ports.Clock.Now().Sub(s.Sent) < r.m.cfg.Grace {", "	if r.ports.Clock.Now().Sub(s.Sent) < r.m.cfg.Poll {", patient),
		one("not-overtaken", "a blob is sent again although nothing sent later has arrived",
			confirmFile, "	if err != nil || !overtaken {", "	if err != nil || changed && !overtaken {", patient),
		one("lost-blob-not-noticed", "a staged blob that is gone is sent again and again",
			confirmFile, "	if !staged {", "	if !staged && s.Blob.Path == \"\" {", pipelineTests("^TestMigrate_StagedBlobsGone$")),
		one("lost-ingestion-not-noticed", "a blob that ADX lost is waited for and never sent again",
			confirmFile, "	return true, r.resend(ctx, no, \"not in ADX although something sent later is\")", "	return false, nil", pipelineTests(anySchedule)),
		one("void-not-recorded", "rows of a slice that came in part are sent again without hiding the part",
			confirmFile, "		err = r.ports.Ingester.Void(ctx, r.table.Destination, r.ledger.RunID, no)\n", "",
			pipelineTests("^TestMigrate_PartOfASlice")),
		{
			name: "void-after-resend",
			bug:  "the part of a slice is hidden only after the whole was sent again",
			edits: []edit{
				{confirmFile, "func (r *run) void(ctx context.Context, no int) error {\n	s := r.ledger.Slice(no)\n", "func (r *run) void(ctx context.Context, no int) (last error) {\n	s := r.ledger.Slice(no)\n	defer func() {\n		if last == nil {\n			last = r.ports.Ingester.Void(ctx, r.table.Destination, r.ledger.RunID, no)\n		}\n	}()\n"},
				{confirmFile, "		err = r.ports.Ingester.Void(ctx, r.table.Destination, r.ledger.RunID, no)\n	}\n	if err != nil {", "		err = nil\n	}\n	if err != nil {"},
			},
			tests: pipelineTests("^TestMigrate_PartOfASlice"),
		},
		one("blob-overwritten", "a staged blob can be written over",
			"internal/adx/stage.go", "IfNoneMatch: to.Ptr(azcore.ETagAny)", "IfNoneMatch: to.Ptr(azcore.ETag(\"other\"))", suite{"internal/adx", "^TestStage_"}),
	}
}
