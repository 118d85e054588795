package mutants

// windowMutants get the edges of windows wrong: a row on an edge is lost or
// copied twice, or the watermark passes rows that are still to come.
func windowMutants() []mutant {
	edges := suite{"internal/defender", "^TestClient_RowsOnTheEdges"}
	return []mutant{
		{
			name: "newest-first",
			bug:  "slices are copied newest first and each moves the watermark",
			edits: []edit{
				{runFile, "	return numbers\n}", "	for i, j := 0, len(numbers)-1; i < j; i, j = i+1, j-1 {\n		numbers[i], numbers[j] = numbers[j], numbers[i]\n	}\n	return numbers\n}"},
				{copyFile, "	if err := r.checkDestination(ctx); err != nil {\n		return err\n	}\n	r.log.Info(\"slice sent\"",
					"	if err := r.checkDestination(ctx); err != nil {\n		return err\n	}\n" +
						"	if s.Window.To.After(r.m.state.Watermark) {\n		r.m.state.Watermark, r.m.state.OpenRun = s.Window.To, \"\"\n	}\n" +
						"	if err := r.m.lease.SaveState(ctx, r.m.state); err != nil {\n		return err\n	}\n	r.log.Info(\"slice sent\""},
			},
			tests: pipelineTests(anySchedule),
		},
		one("tie-from-inclusive", "the hunting query reads the window's beginning again",
			queryFile, `at + " > " + kql.Datetime(s.Window.From)`, `at + " >= " + kql.Datetime(s.Window.From)`, edges),
		one("tie-to-exclusive", "the hunting query leaves the window's end out",
			queryFile, `at + " <= " + kql.Datetime(s.Window.To)`, `at + " < " + kql.Datetime(s.Window.To)`, edges),
		one("tie-count-from-inclusive", "the planning query counts the window's beginning",
			queryFile, `at + " > d2a_from")`, `at + " >= d2a_from")`, edges),
		one("tie-count-to-exclusive", "the planning query counts the window's end as later",
			queryFile, `at + " > d2a_to, 'later', 'window')`, `at + " >= d2a_to, 'later', 'window')`, edges),
		one("tie-bin", "a row on the end of a time bin is counted in the next",
			queryFile, `bin(" + at + " - 1tick, `, `bin(" + at + ", `, edges),
		one("tie-bucket", "the last bucket of a slice is left out",
			queryFile, `strconv.Itoa(s.Hi-1)`, `strconv.Itoa(s.Hi-2)`, edges),
		one("tie-plan-from-exclusive", "the next window begins a tick after the watermark",
			planFile, "	from := p.state.Watermark\n", "	from := p.state.Watermark.Add(plan.Tick)\n",
			pipelineTests("^TestMigrate_ARowOnTheEdgeOfAWindow")),
		one("tie-plan-from-inclusive", "the next window begins a tick before the watermark",
			planFile, "	from := p.state.Watermark\n", "	from := p.state.Watermark.Add(-plan.Tick)\n",
			pipelineTests("^TestMigrate_ARowOnTheEdgeOfAWindow")),
		one("marks-ignored", "after a change of the watermark column what was copied by the old one is copied again",
			planFile, "	l.Table.Filters = p.state.Filters(from)\n", "	_ = p.state.Filters(from)\n", pipelineTests("^TestScenario_R2_")),
		one("tie-cells", "planned parts leave a tick between each other",
			"internal/plan/pack.go", "		from = to\n", "		from = to.Add(Tick)\n",
			suite{"internal/plan", "^TestCells_Tile"}),
		one("tie-halves", "the halves of a slice share a tick",
			"internal/plan/slice.go", "a.Window.To, b.Window.From = half, half", "a.Window.To, b.Window.From = half.Add(Tick), half",
			suite{"internal/plan", "^TestSlice_HalvesTile"}),
		one("page-overlap", "a page cut smaller begins inside the one before",
			"internal/plan/slice.go", "a.Hi, b.Lo = half, half", "a.Hi, b.Lo = half+1, half",
			suite{"internal/plan", "^TestSlice_HalvesTile"}),
		one("cut-moves-the-whole-window", "of a run cut short the whole window counts as copied",
			"internal/plan/pack.go", "Window{From: w.From, To: kept[i].Window.To}, true", "w, true",
			suite{"internal/plan", "^TestCut_EndsWhereABinEnds$"}),
		{
			name: "settle-ignored",
			bug:  "rows that are still arriving are passed by the watermark",
			edits: []edit{
				{planFile, "To: plan.Ticks(now.Add(-p.cfg.Settle))", "To: plan.Ticks(now)"},
				{reachFile, "p.counter.window(ctx, w, p.cfg.Settle, w.Bin(), p.expected())", "p.counter.window(ctx, w, 0, w.Bin(), p.expected())"},
			},
			tests: pipelineTests("^TestMigrate_RowsThatArriveWithinTheSettleTime"),
		},
		one("source-clock-ignored", "the window ends by our clock although the source's is behind",
			reachFile, "if counts.To.Before(w.To) {", "if counts.To.Before(w.To) && w.Empty() {",
			pipelineTests("^TestMigrate_TheSourcesClockIsBehind")),
		{
			name: "future-row-moves-watermark",
			bug:  "the watermark becomes the newest value found, even if it lies in the future",
			edits: []edit{
				{planFile, "	if err != nil || l.Window.Empty() {\n		return err\n	}\n", "	if err != nil || l.Window.Empty() {\n		return err\n	}\n	l.Newest = counts.Newest\n"},
				{finishFile, "	mark := l.Window.To\n", "	mark := l.Window.To\n	if l.Newest.After(mark) {\n		mark = l.Newest\n	}\n"},
			},
			tests: pipelineTests("^TestMigrate_FutureDatedRow"),
		},
	}
}
