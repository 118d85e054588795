package mutants

// scheduleMutants read a schedule otherwise than the host that must tick by it.
func scheduleMutants() []mutant {
	const file = "internal/ncrontab/ncrontab.go"
	spellings := suite{"internal/ncrontab", "^TestParse_OddSpellings$"}
	return []mutant{
		one("schedule-seven-is-sunday", "weekday 7 passes, and the host refuses it",
			file, `{"weekday", 0, 6,`, `{"weekday", 0, 7,`, spellings),
		one("schedule-day-or-weekday", "day or weekday is enough, where the host wants both",
			file, "s.fields[3]&(1<<(day.Day()-1)) != 0 && s.fields[5]", "s.fields[3]&(1<<(day.Day()-1)) != 0 || s.fields[5]", spellings),
		one("schedule-any-blank", "a tab parts fields, and the host refuses it",
			file, "return r == ' ' })", "return r == ' ' || r == '\\t' })", spellings),
		one("schedule-range-not-swapped", "a range that runs backwards is empty, and the timer silent",
			file, "			from, to = to, from //", "			//", spellings),
		one("schedule-unwarned", "a schedule that never fires passes without a word",
			file, "	case s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Equal(endOfTime):", "	case false:",
			suite{"internal/ncrontab", "^TestWarning_NamesWhatIsOdd$"}),
		one("schedule-unchecked", "the setting is taken as it comes",
			"internal/config/value.go", "if err := scheduleFault(v); err != nil {", "if err := scheduleFault(v); err != nil && v == \"\" {",
			suite{"internal/config", "^TestWarnings_NameAScheduleThatTicksOddly$"}),
		one("schedule-frequency-ignored", "every table is copied at every tick, whatever its Frequency",
			"functions/schedule/schedule.go", "table.Active && f.due(ctx, table)", "table.Active",
			suite{"functions/schedule", "^TestScenario_U1_FrequencyIsObeyed$"}),
		one("schedule-frequency-to-the-second", "a start minutes after the tick skips the next day's tick",
			"internal/plan/frequency.go", "f.every - passed - tick/2", "f.every - passed",
			suite{"internal/plan", "^TestTable_DueFrom_SpreadsTablesOverThePeriod$"}),
		one("schedule-a-period-and-a-half", "the second run comes up to one and a half periods after the first, when Defender holds the first rows no longer",
			"internal/plan/frequency.go", "after := started.Add(tick / 2)", "after := started.Add(f.every / 2)",
			suite{"internal/plan", "^TestTable_DueFrom_SpreadsTablesOverThePeriod$"}),
		one("schedule-longer-than-held", "a Frequency longer than Defender holds rows passes without a word",
			"internal/plan/frequency.go", "f.longest() > most:", "f.longest() < 0:",
			suite{"internal/plan", "^TestTable_FrequencyWarning$"}),
		one("schedule-held-for-thirty-days", "a Frequency longer than the source holds rows is compared with what Defender holds by default",
			"internal/plan/frequency.go", "	lookBack = cmp.Or(lookBack, held)\n", "	lookBack = cmp.Or(held, lookBack)\n",
			suite{"internal/plan", "^TestTable_FrequencyWarning$"}),
		one("schedule-all-at-once", "tables of one Frequency are all due at one tick",
			"internal/plan/frequency.go", "return time.Duration(h.Sum64() % uint64(f.every))", "return time.Duration(h.Sum64() % 1)",
			suite{"internal/plan", "^TestTable_DueFrom_SpreadsTablesOverThePeriod$"}),
		one("state-silent-on-a-failure-said-before", "a table is shown as well while it fails, since the audit log has the cause already",
			putBackFile, "		m.state.Ended(row) // said", "		// said", pipelineTests("^TestMigrate_StateTellsOfAFailureSaidBefore$")),
	}
}
