package mutants

// savedMutants are the rules of saved queries.
func savedMutants() []mutant {
	const split = "internal/savedquery/split.go"
	found := suite{"internal/savedquery", "^TestSplit_FindsTheEndsOfStatements$"}
	refused := suite{"internal/savedquery", "^TestSplit_RefusesWhatIsNoQuery$"}
	asked := suite{"internal/defender", "^TestQueries_AreWhatTheServiceIsAsked$"}
	return []mutant{
		one("saved-empty-line", "a saved query is sent with an empty line, at which the service ends it",
			split, "		if empty {\n", "		if false {\n", refused),
		one("saved-second-result", "of a saved query's two statements the last is copied",
			split, "		case p.result != \"\":\n", "		case false:\n", refused),
		one("saved-command", "a control command behind a let statement is sent",
			split, "		case strings.HasPrefix(s.text, \".\"):\n", "		case strings.HasPrefix(text, \".\"):\n", refused),
		one("saved-verbatim-string", "a backslash before the end of a verbatim string hides the end",
			split, "s.at > 0 && s.text[s.at-1] == '@'", "false", found),
		one("saved-comment", "a comment at the end of a saved query takes what is written behind it",
			split, "	case strings.HasPrefix(rest, \"//\"):\n", "	case false:\n", found),
		one("saved-line-separator", "a character that ends a line for the service alone takes a command out of a comment",
			split, " || r == '\\u2028' || r == '\\u2029' {", " {", refused),
		one("saved-query-by-name", "a run of a saved query has its name and not its text",
			planFile, "	table, err := m.inForce.ForRun()\n", "	table, err := m.inForce, error(nil)\n", pipelineTests("^TestScenario_Q1_")),
		one("saved-arrival-believed", "a saved query is copied by a time of arrival that some rows lack",
			"internal/plan/savedquery.go", "t.WatermarkColumn != \"\" || nulls == 0 {", "t.WatermarkColumn != \"\" || true {", pipelineTests("^TestScenario_Q2_")),
		one("saved-full", "a saved query is copied whole and then by increments of nothing",
			"internal/plan/savedquery.go", "	if load == Full {\n", "	if false {\n", suite{"internal/plan", "^TestRow_ChecksSourcesBesideHuntingTables$"}),
		one("saved-key-ignored", "a snapshot of a saved query is torn by every change of a value",
			"internal/plan/source.go", "		return t.Query.Key\n", "		return nil\n", asked),
		one("saved-lets-left-out", "the counts of a saved query lack its let statements",
			queryFile, "	b.WriteString(prologue(q.Table))\n", "", asked),
	}
}
