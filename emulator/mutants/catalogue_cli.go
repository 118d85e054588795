package mutants

const (
	forecastFile = "internal/pipeline/forecast.go"
	migrateFile  = "handler/migrate.go"
)

// commandMutants let a person's command do other than the service, or say other than
// it does.
func commandMutants() []mutant {
	errand := suite{"handler", "^TestErrand_"}
	return []mutant{
		one("attended-wait-is-pending", "a tick waits for a wake-up that only a person's process knew of",
			"internal/pipeline/putback.go", "	if m.req.Attendant != nil {\n", "	if false {\n", pipelineTests("^TestAttendant_Waits")),
		one("attended-failure-put-back", "a failure is kept from who attends the run",
			"internal/pipeline/putback.go", "m.req.Attendant == nil && (", "(", pipelineTests("^TestAttendant_GetsTheFailure$")),
		one("forecast-writes", "a forecast appends what the run would say",
			"internal/pipeline/dry.go", "	p.ControlTables = dryControlTables{p.ControlTables}\n", "", pipelineTests("^TestForecast_")),
		one("forecast-by-a-guess", "a forecast packs by the assumed width of rows",
			forecastFile, "	if !r.width.Learning() {\n", "	if true {\n", pipelineTests("^TestForecast_Is")),
		one("forecast-without-recounts", "a forecast leaves out the counts by which a run packs again",
			forecastFile, "f.Calls = ledger.Calls + r.calls.taken() - before", "f.Calls = r.calls.taken() + 0*before", pipelineTests("^TestForecast_Is")),
		one("forecast-without-the-closing-count", "a forecast forgets the call that closes a snapshot",
			forecastFile, "	f.Calls += fetched + r.closing()\n", "	f.Calls += fetched\n", pipelineTests("^TestForecast_")),
		one("day-of-a-short-window", "a day is told by what is left to copy",
			forecastFile, "From: to.Add(-24 * time.Hour), To: to}", "From: m.state.Watermark, To: to}", pipelineTests("^TestForecast_KnowsADay")),
		one("command-never-gives-up", "a command tries again for ever",
			migrateFile, "failures == failuresEnough {", "failures == failuresEnough+1 {", errand),
		one("put-off-counts-as-a-failure", "failures before a wait count with those after it",
			migrateFile, "			failures, req.WakeUp = 0, off.wakeUp\n", "			req.WakeUp = off.wakeUp\n", errand),
		one("environment-over-the-file", "a variable that is left from elsewhere goes over the settings' file",
			"handler/envfile.go", "if value := values[name]; value != \"\" {", "if value := values[name]; value != \"\" && environment(name) == \"\" {", suite{"handler", "^TestEnvFile_"}),
		one("pattern-means-what-is-skipped", "a pattern of the file means tables that it skips",
			"handler/apply.go", "if means && !skipped {", "if means {", suite{"emulator/stack", "^TestCommandLine_IsAs"}),
		one("unknown-instance-is-a-failure", "a command line that names no instance ends like work that failed",
			"handler/open.go", "		if _, err := cfg.Instance(instance); err != nil {", "		if _, err := cfg.Instance(instance); err != nil && cfg.Instances == nil {", suite{"handler", "^TestRun_Faults"}),
		one("export-cannot-be-rewound", "an export that was copied cannot be had again",
			"handler/rewind.go", " && !table.IsExport():", ":", suite{"handler", "^TestRewindable_"}),
		one("late-settings-fault-is-a-failure", "a wrong app id ends like work that failed",
			"handler/exit.go", ", errors.As(err, &late):", ", errors.As(err, &late) && false:", suite{"handler", "^TestExitCode_"}),
		one("on-sends-back-to-on", "on, asked for a table that no instance copies yet, names itself as the remedy",
			"handler/switch.go", "		case !only:\n", "		case !only && rows == nil:\n", suite{"handler", "^TestWithRecommended_"}),
		one("person-refused-at-a-terminal", "a command refuses the sign-in of the person who runs it",
			"handler/open.go", "config.ReadAttended(p.getenv)", "config.Read(p.getenv)", suite{"handler", "^TestOpen_"}),
		one("pattern-stops-at-slashes", "a pattern over tables leaves out lists, exports and saved queries",
			"handler/pattern.go", "strings.ReplaceAll(strings.ToLower(text), \"/\", \"\\x00\")", "strings.ToLower(text)", suite{"handler", "^TestPick_"}),
		one("file-makes-a-second-row", "another spelling in a file makes a new table of one that stands",
			"handler/apply.go", "if found := tables.Named(rows, is); len(found) > 0 {", "if found := tables.Named(rows, is); len(found) > len(rows) {", suite{"handler", "^TestFile_"}),
		one("pattern-means-a-table-twice", "a pattern means a table that stands once more by the catalogue's spelling",
			"handler/apply.go", "if !slices.ContainsFunc(rows, stands) {", "if !slices.ContainsFunc(rows, stands) || rows != nil {", suite{"handler", "^TestFile_"}),
		one("file-switches-watermarks", "a file that is applied sets watermarks back",
			"handler/apply.go", "return change{before: row, after: row.Row}", "after := row.Row; after.LastRefreshedTime = never; return change{before: row, after: after}", suite{"handler", "^TestFile_"}),
		one("file-for-every-instance", "a file that is applied for one instance changes others",
			"handler/apply.go", "		return named != wanted\n", "		return named != wanted && false\n", suite{"handler", "^TestFile_IsOf"}),
		one("export-leaves-the-default-unnamed", "what is exported of the default instance can be taken for another's",
			"handler/apply.go", "		if several {\n", "		if several && f.Tables != nil {\n", suite{"handler", "^TestFile_Exported"}),
		one("question-in-the-json", "a question to a person stands among the JSON",
			"handler/switch.go", "		people = p.stderr\n", "", suite{"handler", "^TestAppend_Asks"}),
		one("on-knows-no-raw-table", "on does not know a table without a row by its destination",
			"handler/switch.go", "recommended(inCatalogue(strings.TrimPrefix(name, prefix)))", "recommended(plan.TodaysName(name))", suite{"handler", "^TestWithRecommended_"}),
		one("said-settings-fault-is-a-failure", "a table that a faulty setting stops ends like work that failed",
			"handler/exit.go", "	if errors.As(errors.Join(causes...), &settings) {", "	if false {", suite{"handler", "^TestExitCode_"}),
		one("all-refused-is-not-offered", "a tenant that cannot be asked offers nothing, by what is said",
			"internal/defender/offered.go", "	if !answered && len(out) == 0 {\n", "	if !answered && len(out) < 0 {\n", suite{"internal/defender", "^TestOffered_"}),
		one("setup-held-up-by-one", "an instance that cannot say where its tables go keeps handler setup from making those of others",
			"internal/config/config.go", "	if !slices.ContainsFunc(c.Instances, func(i Instance) bool { return i.Fault == nil }) {\n", "	if c.Instances != nil {\n", suite{"internal/config", "^TestReadADX_"}),
		one("completion-cuts-the-path", "the shell takes a path with blanks for a program and its arguments",
			"handler/completion.go", "	if plainPath.MatchString(text) {\n", "	if text != \"\" {\n", suite{"handler", "^TestCompletion_"}),
		one("another-apps-database", "a command copies into a database from the storage of another app",
			"handler/app/command.go", "	if other == \"\" {\n		return nil\n	}\n", "	if other != \"?\" {\n		return nil\n	}\n", suite{"emulator/stack", "^TestCommandLine_IsAs"}),
		one("rewind-is-no-command", "a watermark that stands in a row already is set back to, and nothing happens",
			"handler/app/command.go", "	for taken[plan.Ticks(mark)] {\n", "	for false {\n", suite{"handler/app", "^TestFreeMark_"}),
	}
}
