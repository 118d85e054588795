package mutants

// endMutants end a run as something that it is not.
func endMutants() []mutant {
	closing := pipelineTests("^TestMigrate_SnapshotThatChanges")
	return []mutant{
		one("snapshot-not-closed", "a snapshot of a table that changed meanwhile counts as whole",
			finishFile, "	if r.table.Load == plan.Snapshot && !r.table.Kind().RowsUnknown() {\n		change, err", "	if r.table.Load == plan.Snapshot && r.ledger.Total < 0 {\n		change, err", closing),
		one("snapshot-closed-by-count-alone", "a snapshot counts as whole when as many rows left as came",
			finishFile, "	case !counts.Newest.Equal(l.Newest):", "	case false:", closing),
		one("torn-is-success", "a snapshot that is never whole ends as Success",
			finishFile, "end = plan.Audit{Status: plan.Torn, ", "end = plan.Audit{Status: plan.Success, ", closing),
		one("switched-off-is-ignored", "a table that was switched off is copied on",
			migrationFile, "return !m.inForce.Active && m.req.Trigger != plan.Forced }", "return !m.inForce.Active && m.req.Trigger == plan.Forced }", pipelineTests("^TestMigrate_SwitchedOffAndOn$")),
		one("rewind-is-ignored", "a watermark that the user set back is ignored",
			commandFile, "			m.state.Rewind = &mark\n", "		_ = mark\n", pipelineTests("^TestMigrate_WatermarkSetByTheUserIsTakenUp$")),
		one("snapshot-begun-for-ever", "a snapshot of a busy table is begun again and again",
			finishFile, "	r.m.state.Restarts++\n", "", closing),
		one("rewind-forgotten-at-the-plan", "a watermark that the user set back is forgotten with its run's ledger",
			planFile, "	m.state.OpenRun = l.RunID\n", "	m.state.OpenRun, m.state.Rewind = l.RunID, nil\n", pipelineTests("^TestMigrate_LedgerOfARewoundRunLost$")),
		one("shortfall-seen-once", "one short answer at the end hides what is there",
			confirmFile, "		landed = plan.Fuller(landed, again)\n", "		_ = again\n", suite{"internal/pipeline", "^TestScenario_L11_OneShort"}),
		one("short-at-the-end-for-ever", "what no final check shows is sent again without end",
			confirmFile, "			if err := r.mayVoid(ctx, s, what); err != nil {\n				return false, err\n			}\n", "", suite{"internal/pipeline", "^TestScenario_L11_ShortAtTheEnd"}),
		one("status-of-an-earlier-send", "a failure that was reported of one send has the next one repeated at once",
			"internal/plan/slicelife.go", "s.Sends+1, now, \"\" //", "s.Sends+1, now, s.SourceID //", suite{"internal/pipeline", "^TestScenario_L20_StatusOfAnEarlier"}),
		one("look-refused-is-a-look", "a refusal at the moment of a look ends the looks",
			"internal/plan/look.go", "if l := &s.Looks[i]; !slices.Contains(unseen, l.RunID) {", "if l := &s.Looks[i]; true {", suite{"internal/plan", "^TestLooks_"}),
		one("looks-end-after-the-next-run", "a run in doubt is looked at by the next run alone",
			"internal/pipeline/migration.go", "if l.InDoubt() {", "if false {", suite{"internal/pipeline", "^TestScenario_R3_"}),
		one("reply-lost-is-no-doubt", "a run whose send was answered by nothing is not looked at again",
			"internal/plan/look.go", "(s.Doubt || s.Sends > 1 || s.SourceID == \"\")", "(s.Doubt || s.Sends > 1)", suite{"internal/plan", "^TestInDoubt_"}),
		one("late-copy-said-twice", "a late copy that was reported is reported again a day later",
			"internal/pipeline/confirm.go", "	for _, l := range reported {\n", "	for _, l := range reported[:0] {\n", suite{"internal/pipeline", "^TestScenario_R3_"}),
		one("late-rows-of-a-lost-run", "a run of a table without state ends although rows of a lost one came in beside it",
			finishFile, "	if !r.m.state.Rebuilt || r.table.Load == plan.Snapshot {", "	if true {", pipelineTests("^TestMigrate_RowsThatNobodyVouchesFor")),
		one("lost-run-copied-again", "a table without state is copied again beside the rows of a lost run",
			planFile, "	if m.state.Rebuilt && m.inForce.Load != plan.Snapshot {", "	if false {", pipelineTests("^TestMigrate_RowsThatNobodyVouchesFor")),
		one("redelivery-is-served", "a message that comes again between two runs is dropped",
			migrationFile, " && !m.state.More", "", pipelineTests("^TestMigrate_RedeliveredBetweenTwoRunsGoesOn$")),
		one("refusal-is-served", "a table's refusal for rows of another app counts as a run that ended",
			migrationFile, "Before(m.state.Served)", "Before(m.state.ForeignSince)", pipelineTests("^TestMigrate_RefusalForAnotherApp")),
		one("expired-is-divided", "rows that expired between count and copy make a slice be divided without end",
			"internal/plan/account.go", "		return Accept // rows grow fewer", "		return Divide // rows grow fewer", pipelineTests("^TestMigrate_RowsExpireWhileTheyAreCopied$")),
		one("fewer-is-expired", "an answer with fewer rows than counted twice counts as expired",
			"internal/plan/account.go", "received > s.Rows || recount > received || ", "received > s.Rows || ", suite{"internal/plan", "^TestReceive_"}),
		one("snapshot-waits-in-line", "a snapshot, which must be whole before its source changes, waits as events do",
			planFile, "m.calls.of(m.req.Key.String(), t.Load == plan.Snapshot)", "m.calls.of(m.req.Key.String(), false)", pipelineTests("^TestMigrate_SnapshotsGoFirst")),
		one("cut-rows-unsaid", "the audit row does not say that rows were cut",
			finishFile, "	if cut > 0 {\n		l.Note(", "	if cut < 0 {\n		l.Note(", pipelineTests("^TestMigrate_RowsCutOnTheirWayAreNoted$")),
		one("call-before-token", "a call is taken from the quota before there is a token for it",
			callsFile, "		if err = t.calls.ready(ctx); err == nil {\n			err = t.calls.quota.Take(ctx, t.table, t.urgent)\n		}\n", "		if err = t.calls.quota.Take(ctx, t.table, t.urgent); err == nil {\n			err = t.calls.ready(ctx)\n		}\n", pipelineTests("^TestMigrate_TakesACall")),
	}
}

// answerMutants tell the queue the wrong thing: work is dropped, or repeated
// that only a person can mend.
func answerMutants() []mutant {
	function := suite{"functions/migrate", "^TestServe"}
	waits := pipelineTests("^TestMigrate_ALongWait")
	return []mutant{
		one("wait-is-success", "a wake-up that has to wait is answered and forgotten",
			answerFile, "	if err := m.sendAgain(ctx, plan.WakeUp{Key: m.req.Key, Trigger: m.req.Trigger}, delay, off.reason); err != nil {\n		return fmt.Errorf(\"migrate %s: %w\", m.req.Key, err)\n	}\n", "", waits),
		one("wait-not-remembered", "a wait of hours is forgotten after the first",
			answerFile, "			m.state.NotBefore = p.ports.Clock.Now().Add(delay)\n", "", waits),
		one("wait-not-shared", "a wait that one table was told does not hold the others",
			callsFile, "			if holdErr := c.quota.PauseUntil(ctx, until); holdErr != nil {", "			if holdErr := error(nil); holdErr != nil {", waits),
		one("wait-shortened", "a shorter wait ends a longer one",
			"internal/quota/quota.go", "		if !until.After(r.NotBefore) {", "		if until.Equal(r.NotBefore) {", suite{"internal/quota", "^TestHold_"}),
		one("wait-not-seen-by-sleepers", "who sleeps for its turn does not see that everybody has to wait",
			"internal/quota/quota.go", " && !held.After(now), nil", " && !held.IsZero() || now.Sub(slot) <= late, nil", suite{"internal/quota", "^TestHold_"}),
		one("more-than-the-quota", "callers come a little closer together than the quota allows",
			"internal/quota/rate.go", "later(next, slot).Add(r.interval)", "later(next, slot).Add(r.interval * 9 / 10)", suite{"internal/quota", "^TestRate_NoWindowExceedsTheLimit$"}),
		one("wait-slept", "a long wait is slept by the process",
			callsFile, "			if pause > c.nearby", "			if pause < 0", waits),
		one("retry-is-success", "a failure that repeating may mend is answered as done",
			"functions/migrate/migrate.go", "	case fault.None:\n", "	case fault.None, fault.Retry, fault.Wait:\n", function),
		one("permanent-is-redelivered", "a failure that only a person can mend is delivered again",
			"functions/migrate/migrate.go", "		return host.Reply{Logs: []string{fmt.Sprintf(\"%s: %v\", req.Key, err)}}", "		return host.Reply{Redeliver: true, Logs: []string{fmt.Sprintf(\"%s: %v\", req.Key, err)}}", function),
		one("permanent-becomes-retry", "the pipeline hands a permanent failure on as one to repeat",
			answerFile, "		return fault.As(fault.Permanent, cause)\n", "		return fault.As(fault.Retry, cause)\n",
			pipelineTests("^TestMigrate_UnknownTable$")),
		one("held-is-success", "a wake-up for a table in work is dropped although the holder may be dead",
			answerFile, "	case req.Again == 0", "	case req.Again == 0 && req.Trigger != plan.Scheduled", pipelineTests("^TestMigrate_ATableInWork")),
		one("pending-is-dropped", "the wake-up that others yield to is dropped because one of them holds the table",
			answerFile, "	case req.PutOff == 0:", "	case true:", pipelineTests("^TestScenario_L29_PendingOneMeets")),
	}
}
