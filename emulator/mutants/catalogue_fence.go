package mutants

// fenceMutants let two workers, or two lives of one worker, act on one table.
func fenceMutants() []mutant {
	frozen := pipelineTests("^TestMigrate_FrozenProcess")
	return []mutant{
		one("new-run-after-failure", "after a failure a new run is planned and the open one forgotten",
			migrationFile, "	if m.state.OpenRun == \"\" {\n		return nil, nil\n	}\n	ledger, err := m.lease.Ledger", "	if m.state.OpenRun != \"\" {\n		m.state.OpenRun = \"\"\n	}\n	if m.state.OpenRun == \"\" {\n		return nil, nil\n	}\n	ledger, err := m.lease.Ledger",
			pipelineTests(anySchedule)),
		one("open-ledger-not-adopted", "when the state is gone the open run is forgotten",
			migrationFile, "	ledger, err := m.lease.OpenLedger(ctx)\n", "	ledger, err := (*plan.Ledger)(nil), error(nil)\n",
			pipelineTests("^TestMigrate_StateBlobGone")),
		one("forsaken-run-not-hidden", "a run whose ledger is gone is copied again beside what arrived of it",
			migrationFile, "	if err := m.ports.Ingester.Void(ctx, m.state.Table.Destination, m.state.OpenRun, -1); err != nil {\n		return err\n	}\n", "",
			pipelineTests("^TestMigrate_LedgerGone$")),
		one("generation-not-raised", "a takeover keeps the generation of the one before",
			migrationFile, "	m.state.Generation++\n", "", frozen),
		one("generation-not-in-ledger", "a takeover writes its generation into the state alone",
			migrationFile, "	ledger.Generation = m.state.Generation\n", "", frozen),
		one("ledger-not-fenced", "a takeover leaves the ledger as its predecessor wrote it",
			migrationFile, "	return m.lease.SaveLedger(ctx, ledger)\n}\n\n// hideLostRun", "	return nil\n}\n\n// hideLostRun", frozen),
		one("etag-not-checked", "a writer writes over what another has written since",
			"internal/state/tablelease.go", " && stampOf(changed.Stored.Body).Writer == h.writer {", " {",
			suite{"internal/state", "^TestSaveLedger_OverAnUnseenVersionIsFenced$"}),
		one("lease-deadline-not-checked", "a process that slept past its lease sends its blob",
			runFile, "	if r.ports.Clock.Now().Before(r.m.lease.Deadline()) {\n", "	if true {\n", frozen),
		one("lease-counted-from-the-end", "a lease counts from the answer and not from the request",
			"internal/state/lease.go", "			l.extend(start)\n", "			_ = start\n			l.extend(l.clock.read())\n", suite{"internal/state", "^TestLease_"}),
		one("outbox-without-tags", "rows are appended under no tag of their own",
			outboxFile, "	row.Tag = fmt.Sprintf(", "	_ = fmt.Sprintf(",
			pipelineTests("^TestMigrate_CopiesEveryRowOnce$|^TestMigrate_ALostReply")),
		one("outbox-tag-of-the-delivery", "a row gets a new tag each time it is delivered",
			outboxFile, "		if err := o.control.Deliver(ctx, row); err != nil {\n			errs", "		row.Tag += randomID(4)\n		if err := o.control.Deliver(ctx, row); err != nil {\n			errs",
			pipelineTests("^TestMigrate_ALostReply")),
		one("append-without-tag", "ADX adds a row again that it has under the same tag",
			"internal/adx/append.go", "ingestIfNotExists = '[\"` + tag + `\"]') <| ` + source", "persistDetails = true) <| ` + source",
			suite{"internal/adx", "^TestAppendCommand_FollowsTheTablesColumns$"}),
		one("audit-after-the-checkpoint", "the audit row is thought of only after the watermark has moved",
			finishFile, "	r.m.outbox.addAudit(ofRun(r.m.audit(audit), l))\n	if err := r.m.lease.SaveState(ctx, r.m.state); err != nil {\n		return err\n	}\n	r.log.Info(\"run ended\"", "	if err := r.m.lease.SaveState(ctx, r.m.state); err != nil {\n		return err\n	}\n	r.m.outbox.addAudit(ofRun(r.m.audit(audit), l))\n	r.log.Info(\"run ended\"",
			pipelineTests("^TestMigrate_KilledRightAfterTheCheckpoint")),
		one("another-app-not-noticed", "two apps copy into one database",
			planFile, "	if err != nil || other == \"\" {", "	if err != nil || other != m.cfg.AppID {", pipelineTests("^TestMigrate_AnotherAppOnTheDatabase$")),
	}
}
