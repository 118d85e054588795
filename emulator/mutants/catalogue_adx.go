package mutants

// adxTests are tests of the adapter of Azure Data Explorer.
func adxTests(run string) suite { return suite{pkg: "internal/adx", run: run} }

// adxMutants break what is known of the service's own ways.
func adxMutants() []mutant {
	const ticket, transport, ingest = "internal/adx/ingeststatus.go", "internal/adx/transport.go", "internal/adx/ingest.go"
	return []mutant{
		one("skipped-tag-by-status", "a blob skipped for its tag and reported as failed counts as failed",
			ticket, "meaning == answer.AlreadyIngested:", "meaning == answer.AlreadyIngested && r.Status == \"Skipped\":",
			adxTests("^TestVerdict_ReadsAStatusRow$|^TestScenario_L17_")),
		one("known-tag-refused", "an append that is refused for its known tag is never got over",
			"internal/adx/append.go", "lookErr == nil && there {", "lookErr == nil && there && tag == \"\" {", adxTests("^TestScenario_L17_KnownTag")),
		one("tag-by-term-alone", "a tag is found where a longer one is",
			"internal/adx/append.go", " + \" and set_has_element(extent_tags(), \" + whole + \")\"", "", adxTests("^TestTaggedQuery_")),
		one("busy-cluster-once", "a cluster without capacity is asked once",
			"internal/adx/capacity.go", "	capacityTries = 5", "	capacityTries = 1", adxTests("^TestScenario_L16_NoCapacity")),
		one("refused-token-kept", "a refused token is used until its time",
			transport, "		f.Forget(*scopes...)\n", "		_ = f\n", adxTests("^TestScenario_L2_")),
		one("weak-reads", "what decides is read as the cluster likes",
			"internal/adx/client.go", "statement(text), strong...)", "statement(text))", adxTests("^TestScenario_L11_")),
		one("maybe-queued-called-unsent", "a send of which a queue may hold the message counts as unsent",
			ingest, "	if err != nil && done && !maybe.Load() {", "	if err != nil && (done || maybe.Load()) {", adxTests("^TestScenario_L13_")),
		one("left-alone-called-unsent", "a send that was left to the SDK counts as unsent",
			ingest, "	if err != nil && done && !maybe.Load() {", "	if err != nil && (done || err != nil) && !maybe.Load() {", adxTests("^TestEnqueue_IsLeftToItself")),
		one("forbidden-blob-gone", "a blob that may not be looked at counts as gone",
			"internal/adx/stage.go", "		return plan.BlobUntold, nil", "		return plan.BlobGone, nil", adxTests("^TestScenario_L18_SignatureWithoutRead$")),
		one("profile-forced", "a column keeps no large rows where the indexed profile is refused",
			"internal/adx/encoding.go", "	case !stood && slices.ContainsFunc(bigTables, func(big string) bool { return strings.HasSuffix(table, big) }):", "	case !stood && table == \"\":", adxTests("^TestScenario_C5_IndexedProfileRefused$")),
		one("limit-by-another-column", "the row limit is that of any column",
			"internal/adx/encoding.go", "		if own && (named || sized) {", "		if named || sized {", adxTests("^TestReadEncoding_TakesEitherForm$")),
		one("shown-slice-stays-hidden", "a slice once hidden is never shown again",
			"internal/adx/script.go", "    | where isnull(Hidden) or Hidden\n", "", adxTests("^TestScenario_R3_")),
		one("takeover-by-the-newest", "a database of the original is taken over at its newest row",
			"internal/adx/takeover.go", "		\" | summarize arg_max(At, *) by SourceTable, Instance, LastRefreshedTime\" +\n		\" | summarize arg_max(LastRefreshedTime, *) by SourceTable, Instance\" +\n",
			"		\" | summarize arg_max(At, *) by SourceTable, Instance\" +\n", adxTests("^TestScenario_R5_TakeoverIsRecordedOnce$")),
		one("view-dropped-unrecorded", "the original's view goes although nothing was recorded",
			"internal/adx/takeover.go", "		s.add(failedStep(name, err))\n		return\n", "		s.add(failedStep(name, err))\n", adxTests("^TestScenario_R5_ViewStays")),
		one("mistyped-source-shares", "a source that never ran counts as one that shares the table",
			"internal/adx/landed.go", "s.IsActive && s.Audited == 0", "s.IsActive", adxTests("^TestScenario_R9_")),
		one("years-of-rows-sorted", "a rebuilt state is told of every run there ever was",
			"internal/adx/controltables.go", "const runsKept = 200", "const runsKept = 1 << 20", adxTests("^TestScenario_L19_")),
		one("recut-keeps-large-rows", "a blob is staged again with its large rows as they were",
			"internal/rowpath/recut.go", "		if len(row) > limit {", "		if len(row) > limit<<20 {", suite{"internal/rowpath", "^TestRecut_"}),
		one("setup-says-one-cause-often", "setup goes on where the caller lacks the right for every step",
			"internal/adx/setup.go", "known.refused {", "known.refused && false {",
			suite{"internal/adx", "^TestSetup_WithoutTheRightNamesTheRemedy$"}),
		one("setup-for-a-missing-database", "a missing database is to be mended by handler setup",
			"internal/answer/cloud.go", `[]string{"kind 'database'"}`, `[]string{"no text of any service"}`,
			suite{"internal/adx", "^TestSetup_OfAMissingDatabaseNamesTheRemedy$"}),
		one("app-granted-users", "the app's identity is given the right to make tables",
			"internal/adx/grant.go", "		{\"ingestors\", principal,", "		{\"users\", principal,", adxTests("^TestSetup_GrantsWhatTheAppNeeds$")),
		one("large-body-not-read", "a body too large is answered before the host has written it",
			"internal/host/runner.go", "io.LimitReader(req.Body, maxDiscarded)", "io.LimitReader(req.Body, 0)",
			suite{"internal/host", "^TestRunner_Forwarded_BoundsTheBody$"}),
	}
}
