package mutants

// sourceMutants are the rules of sources beside the hunting tables.
func sourceMutants() []mutant {
	unknown := suite{"internal/plan", "^TestLedger_FreezesRowsThatNobodyCounted$|^TestLedger_VerifiesAFileByWhatIsSeen$"}
	row := suite{"internal/plan", "^TestRow_ChecksSourcesBesideHuntingTables$"}
	return []mutant{
		one("uncounted-hunting-frozen", "a hunting table's slice is frozen that nobody counted",
			lifeFile, "	case s.Rows < 0 && !l.rowsUnknown():\n		return illegal(\"freeze", "	case false:\n		return illegal(\"freeze", unknown),
		one("list-blob-uncounted", "a list's blob is sent whose rows nobody knows, so that a part of it passes for all",
			lifeFile, "blob.Rows == RowsUnknown && l.Table.Kind() == schema.Files", "blob.Rows == RowsUnknown", unknown),
		one("file-seen-once", "a file of which some rows have come passes for whole",
			lifeFile, "	return rows > 0 && now.Sub(s.Glimpse.At) >= grace, nil", "	return rows > 0, nil", unknown),
		one("file-seen-growing", "a file that grew between two looks passes for whole",
			lifeFile, "s.Glimpse.At.IsZero() || s.Glimpse.Rows != rows || ", "s.Glimpse.At.IsZero() || ", unknown),
		one("file-judged-by-too-few", "a file sent anew is held against the rows that were too few",
			lifeFile, "			again.Rows, again.Blob.Rows = RowsUnknown, RowsUnknown\n", "", unknown),
		one("list-by-arrival", "a list is copied by a column that it cannot be asked by",
			"internal/plan/source.go", "load != Snapshot && !slices.Contains(s.Watermarks, column) && len(s.Watermarks) > 0 || ", "", row),
		one("load-not-offered", "a list is copied in a way that it cannot be",
			"internal/plan/source.go", "!slices.Contains(s.Loads, string(load))", "false", row),
	}
}
