package mutants

const (
	pendingFile = "internal/plan/pending.go"
	reachFile   = "internal/pipeline/reach.go"
)

// idleMutants let a table stand idle, or ask too often.
func idleMutants() []mutant {
	state := suite{"internal/plan", "^TestPending_"}
	return []mutant{
		one("count-batch-forgotten", "each count begins with as many parts as the source has refused before",
			"internal/pipeline/counter.go", "			c.ledger.CountBatch = max(1, answered, overtaxed/2)\n", "", pipelineTests("^TestScenario_L4_")),
		one("failure-ends-in-poison", "a wake-up whose work fails is left to the queue, which gives it up after five times",
			"internal/pipeline/putback.go", "	return m.req.Attendant == nil && (m.req.Failures > 0 || m.req.Deliveries >= deliveriesEnough)\n", "	return false\n", pipelineTests("^TestScenario_L5_TenMinutes")),
		one("failure-beyond-the-tick", "a wake-up that failed comes later than the next tick",
			"internal/pipeline/putback.go", "			delay = min(delay, tick.Sub(now))\n", "", pipelineTests("^TestScenario_L5_NotBeyond")),
		one("failure-doubled", "each failure puts back one more wake-up",
			"internal/pipeline/putback.go", "	if m.state != nil && m.state.Pending.Waits(m.req.WakeUp, now) {", "	if false {", pipelineTests("^TestScenario_L5_ATick")),
		one("failure-said-each-time", "each failure of one cause has an audit row",
			putBackFile, "!m.state.Say(plan.Gist(cause.Error()), m.ports.Clock.Now(), once)", "false", pipelineTests("^TestScenario_L5_")),
		one("delivery-is-a-failure", "a row that ADX did not take makes its run a failure",
			putBackFile, "	if errors.As(cause, &undelivered) {", "	if errors.As(cause, &undelivered) && false {", pipelineTests("^TestScenario_L22_")),
		one("pending-not-known", "a tick's wake-up works beside one that waits",
			migrationFile, "	if s := m.lease.State(); s != nil && s", "	if s := m.lease.State(); s != nil && false && s", pipelineTests("^TestScenario_L29_")),
		one("pending-for-ever", "a wake-up that got lost keeps its table waiting",
			pendingFile, " && now.Before(p.Due.Add(pendingMargin))", "", state),
		one("tick-waits-for-a-failure", "a tick leaves a failed table to the wake-up that was put back",
			pendingFile, " && !p.Failed\n", "\n", state),
		one("served-by-our-clock", "the age of a wake-up is told by the process's clock",
			migrationFile, "Before(m.state.Served)", "Before(m.state.LastEnded)", pipelineTests("^TestScenario_L1_ClockAhead")),
		one("sent-tomorrow", "a slice that was sent by a wrong clock waits for its day",
			migrationFile, "	ledger.Correct(m.ports.Clock.Now())\n", "", pipelineTests("^TestScenario_L1_SentInTheFuture$")),
		one("order-of-sends-by-a-wrong-clock", "a slice is sent early since another's instant was wrong",
			pendingFile, " || s.State == Committing && s.Sends > 0", "", suite{"internal/plan", "^TestLedger_Correct"}),
		one("wait-beyond-belief", "a wait that a wrong clock has set is waited for",
			pendingFile, "		s.NotBefore = time.Time{}\n", "", pipelineTests("^TestScenario_L1_WaitBeyondBelief$")),
		one("hold-beyond-belief", "a hold that a wrong clock has set stops the tenant",
			"internal/quota/quota.go", "		r.NotBefore = time.Time{} // nobody", "		_ = r.NotBefore // nobody", suite{"internal/quota", "^TestHold_"}),
		one("future-not-said", "a table whose watermark lies in the future is silent",
			planFile, "		if l.Window.From.After(now) {", "		if false {", pipelineTests("^TestScenario_L21_")),
		one("queue-without-end", "ticks that come faster than tables are copied fill the queue",
			"functions/schedule/schedule.go", "	if b.All+more <= 2*tables ||", "	if b.All >= 0 ||", suite{"functions/schedule", "^TestScenario_L29_"}),
		one("sleepers-fill-the-queue", "a person's wake-ups that sleep keep every table from its tick",
			"functions/schedule/schedule.go", " || b.Ready < min(more, plan.MostReady) {", " {", suite{"functions/schedule", "^TestFunction_Tick$"}),
		one("quiet-table-published", "a table that copies nothing publishes a row a tick",
			"internal/plan/tablestate.go", "	return n == 0 ||", "	return n >= 0 ||", pipelineTests("^TestScenario_L19_")),
		one("reach-not-remembered", "a kill forgets what was refused as too heavy",
			reachFile, "			if saveErr := p.save(ctx); saveErr != nil {", "			if saveErr := error(nil); saveErr != nil {", pipelineTests("^TestScenario_L3_Refused")),
		one("reach-by-outage", "an outage shortens the windows",
			reachFile, "			if err == nil {\n				p.state.Reach", "			if err != nil {\n				p.state.Reach", pipelineTests("^TestScenario_L3_")),
		one("run-without-bounds", "packed again a run has any number of slices",
			repackFile, "	if r.ledger.Shorten(plan.MaxSlices) {", "	if false {", pipelineTests("^TestScenario_L12_")),
		one("shortened-into-the-promised", "a window is cut short before rows that are on their way",
			"internal/plan/shorten.go", "if at.Before(floor) || !at", "if !at", suite{"internal/plan", "^TestLedger_Shorten"}),
		one("cap-not-remembered", "each run finds out anew where answers are cut",
			repackFile, "cmp.Or(r.width.RowCap(), r.m.state.RowCap)", "cmp.Or(r.m.state.RowCap)", pipelineTests("^TestScenario_L15_")),
		one("parts-not-closed", "a snapshot counted by parts is never found torn",
			tornFile, "	case !r.ledger.SameParts(parts, r.ledger.PartsNow):", "	case false:", pipelineTests("^TestScenario_L3_SnapshotInPartsIsTorn$")),
	}
}
