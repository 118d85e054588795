package mutants

// viewMutants show readers something else than what was copied.
func viewMutants() []mutant {
	const viewsFile, functionsFile = "internal/adx/views.go", "infra/kql/functions.kql"
	views := func(name string) suite { return suite{"internal/adx", "^" + name + "$"} }
	states := views("TestSnapshots_LatestAsOfAndChanges")
	forms := views("TestViews_ReadEveryFormThatDefenderWrites")
	return []mutant{
		one("null-bool-is-true", "a bool that is null reads as true",
			viewsFile, "isnull(tolong(%[1]s)), bool(null), tolong", "isnull(toreal(1)), bool(null), tolong", forms),
		one("dynamic-text-stays-text", "a dynamic value that came as text is not parsed",
			viewsFile, "parse_json(tostring(%[1]s)), tostring(%[1]s) == '{}'", "%[1]s, tostring(%[1]s) == '{}'", forms),
		one("torn-counts-as-whole", "a torn snapshot shows as a whole one",
			functionsFile, "    | where Status == 'Success'\n", "    | where isnotempty(Status)\n", states),
		one("torn-is-as-good", "a torn snapshot shows although a whole one is not old",
			functionsFile, "| join kind=leftanti (Whole | where not(Late)) on Instance", "| where isnotempty(RunId)", states),
		one("state-of-the-future", "the state as of an instant is a later one",
			functionsFile, "| where SnapshotTime <= at;", "| where isnotnull(at);", states),
		one("twins-stay", "a thing that stands twice in a snapshot shows twice",
			viewsFile, `"    | summarize arg_max(Last, *) by Thing\n" +`, `"" +`, states),
		one("half-a-snapshot", "the rows of a snapshot show before it has ended",
			viewsFile, "or isnull(SnapshotTime) and (isnull", "or (isnull", views("TestViews_ShowNoSnapshotOnItsWay")),
		one("view-hides-a-table", "a view is made over a table of its name",
			"internal/adx/viewsetup.go", "	case table || s.made[h.object]:", "	case table && s.made[h.object]:", views("TestSetup_MakesNoViewWhereTheNameIsTaken")),
		one("whole-numbers-by-real", "a number beyond 2^53 loses its last digits",
			viewsFile, `return "to" + kind + "(" + member + ")"`, `return "to" + kind + "(toreal(" + member + "))"`, forms),
		one("extra-has-all", "_Extra repeats the columns that are known",
			viewsFile, "extraColumn, strings.Join(names, \", \"))", "extraColumn, strings.Join(names[:1], \", \"))", forms),
		one("old-name-shows-nowhere", "what was copied under a name of old shows in no view",
			"internal/adx/viewsetup.go", "if row.SourceTable == t.Name {", "if row.WrittenName() == t.Name {", views("TestSetup_TakesOverADatabaseOfTheFirstVersion")),
		one("retention-not-set", "the Retention of the configuration is read and not set",
			"internal/adx/retention.go", "if command, ok := commands[step.Name]; ok {", "if command, ok := commands[step.Name]; ok && command == \"\" {", views("TestSetup_RetentionOfARawTableIsThatOfTheConfiguration")),
		one("retention-of-the-last", "of two rows that share a raw table the shorter retention may win",
			"internal/adx/retention.go", "wanted[table] = max(wanted[table], keep.Truncate(time.Hour))", "wanted[table] = keep.Truncate(time.Hour)", views("TestSetup_RetentionOfARawTableIsThatOfTheConfiguration")),
		one("retention-set-each-time", "setup sets the retention that stands already",
			"internal/adx/retention.go", "if keeps(stands[table]) == wanted[table] {", "if keeps(stands[table]) < 0 {", views("TestSetup_RetentionOfARawTableIsThatOfTheConfiguration")),
		one("retention-lost-on-publish", "the row that the app publishes has no Retention",
			"internal/adx/controltables.go", "		{\"Retention\", r.Retention},\n", "", views("TestSetup_RetentionOfARawTableIsThatOfTheConfiguration")),
		one("retention-of-an-hour", "a Retention of an hour empties a table",
			"internal/plan/retention.go", "d < minRetention || ", "", suite{"internal/plan", "^TestRetention_IsADayToACentury$"}),
		one("drift-fails-the-run", "columns that changed fail the run where their table is not there",
			"internal/pipeline/outbox.go", "			o.state.Schema, err = nil, nil\n", "			o.state.Schema = nil\n", pipelineTests("^TestDrift_WithoutItsTable")),
		one("drift-forgotten", "columns that could not be recorded count as recorded",
			"internal/pipeline/outbox.go", "			o.state.Schema, err = nil, nil\n", "			err = nil\n", pipelineTests("^TestDrift_WithoutItsTable")),
		one("drift-in-memory", "columns that changed are lost when the process ends before the run",
			"internal/pipeline/drift.go", "	return r.m.lease.SaveState(ctx, state)\n", "	return nil\n", pipelineTests("^TestDrift_KilledBefore")),
		one("catalogued-is-gone", "columns of the catalogue that a tenant never had are recorded as gone",
			"internal/plan/drift.go", "!there && !first", "!there", suite{"internal/plan", "^TestTableState_Drifted"}),
		one("views-do-not-learn", "a column that came since the catalogue stays in _Extra",
			"internal/adx/viewsetup.go", "		v.learn(seen)\n", "", views("TestSetup_ViewsFollowTheColumnsThatDefenderHas")),
		one("one-newest-of-all-instances", "only the instance with the newest snapshot shows",
			functionsFile, "    | summarize arg_max(SnapshotTime, RunId, Torn) by Instance", "    | summarize arg_max(SnapshotTime, RunId, Torn, Instance)", views("TestViews_UniteTheTablesOfAllInstances")),
	}
}
