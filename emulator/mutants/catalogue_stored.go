package mutants

// storedMutants misread what another version of the program has stored.
func storedMutants() []mutant {
	const documentFile, wakeUpFile = "internal/state/document.go", "internal/queue/wakeup.go"
	stored := suite{"internal/state", "^TestStored_"}
	return []mutant{
		one("stored-name-changed", "a member is stored under another name than before",
			"internal/plan/tablestate.go", "`json:\"LastRun\"`", "`json:\"EndedRun\"`", stored),
		one("end-of-older-run-unknown", "a state of an older program says that no run has ended",
			documentFile, "		d.LastEnded = d.ForeignSince\n", "", stored),
		one("marks-for-an-older-program", "an older program takes up a state whose former watermark columns it does not know",
			"internal/plan/tablestate.go", "s.Instance != \"\" || len(s.Marks.Older) > 0 || ", "s.Instance != \"\" || ", stored),
		one("list-for-an-older-program", "an older program asks for a list as if it were a hunting table",
			"internal/plan/ledger.go", " || l.Table.Kind() != schema.Hunting ||", " || l.Table.Kind() == schema.Query ||", suite{"internal/plan", "^TestStoredFormat_"}),
		one("short-name-in-state", "a list's state stands under another name than its messages and routes have",
			"internal/state/name.go", "blobstore.Escape(key.Short().Source) + suffix", "blobstore.Escape(key.Source) + suffix", suite{"internal/state", "^TestStateName_SaysInstanceAndSource$"}),
		one("columns-for-an-older-program", "an older program takes up a state with rows of changed columns, which it cannot deliver",
			"internal/plan/tablestate.go", " || schemaRow || ", "|| schemaRow && s.Format < 0 || ",
			suite{"internal/plan", "^TestStoredFormat_SchemaRows"}),
		one("tenant-for-an-older-program", "an older program goes on with another tenant's run at its own tenant",
			"internal/plan/ledger.go", "l.Instance != \"\" || len(l.Table.Filters) > 0 || ", "len(l.Table.Filters) > 0 || ", stored),
		one("newer-is-permanent", "a document of a newer format fails its table for good",
			documentFile, "		return fault.Newer(now, head.Format, known, head.Program)\n",
			"		return fault.As(fault.Permanent, fault.Newer(now, head.Format, known, head.Program))\n", stored),
		one("newer-is-misread", "a quota record of a newer format is read as one of ours and written over",
			"internal/quota/record.go", "	case head.Format > recordFormat:", "	case head.Format > recordFormat+1:", suite{"internal/quota", "Newer|^TestDecode_"}),
		one("newer-said-each-time", "a table that waits for a newer program says so with each wake-up",
			answerFile, "plan.Outgoing{Tag: tag, ", "plan.Outgoing{Tag: tag + looseTag(), ", pipelineTests("^TestMigrate_WaitsForANewerProgram$")),
		one("newer-never-said", "a table that waits for a newer program says so nowhere",
			answerFile, "		p.auditNewer(ctx, m, err)\n", "", pipelineTests("Newer")),
		one("newer-waited-for-in-silence", "a table waits for a newer program for ever and nobody is told",
			"internal/fault/newer.go", "now.Sub(u.written) > newerPatience", "now.Sub(u.written) > 1000*newerPatience", pipelineTests("^TestMigrate_NewerProgramThatStaysAway$")),
		one("newer-wake-ups-add-up", "each tick leaves a wake-up behind that waits for a newer program",
			answerFile, "m.req.Trigger == plan.Scheduled && m.req.PutOff == 0 {", "m.req.Trigger == plan.Scheduled && m.req.PutOff < 0 {", pipelineTests("^TestMigrate_NewerProgramThatStaysAway$")),
		one("open-ledger-of-another-instance", "a table without state goes on with the run of another instance's",
			"internal/state/name.go", "it.Metadata[metaInstance] == instancePart(key.Instance) && ", "", suite{"internal/state", "^TestStore_KeepsThePipelinesContract$"}),
		one("pause-shortened", "a pause that ends earlier takes the place of a longer one",
			"internal/quota/quota.go", "		if !until.After(r.NotBefore) {", "		if until.Equal(r.NotBefore) {", suite{"internal/quota", "^TestQuota_KeepsThePipelinesContract$"}),
		one("unknown-member-refused", "a wake-up of a newer program is refused for good",
			wakeUpFile, "		object[key] = value\n", "		object[key] = value\n		if !strings.Contains(\"instance table trigger again putOff failures\", key) {\n			return nil, errors.New(\"unknown member\")\n		}\n", suite{"internal/queue", "^TestParseWakeUp_ObeysOnes"}),
		one("repeated-member-obeyed", "the last of a wake-up's repeated members counts",
			wakeUpFile, "object[key]; repeated {", "object[key]; repeated && key == \"\" {", suite{"internal/queue", "^TestParseWakeUp_Refuses$"}),
	}
}
