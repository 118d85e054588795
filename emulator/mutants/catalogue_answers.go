package mutants

// answerTableMutants take one thing that a service says for another.
func answerTableMutants() []mutant {
	client := func(run string) suite { return suite{"internal/defender", run} }
	const tokenFile, huntingRows = "internal/defender/token.go", "internal/answer/hunting.go"
	return []mutant{
		one("any-400-is-final", "a 400 in words nobody knows is taken for a faulty query",
			huntingRows, "Meaning: Undecided, Kind: fault.Unavailable,", "Meaning: Undecided, Kind: fault.Permanent,", client("^TestScenario_L23_")),
		one("wait-of-429-alone", "a wait that is stated with another status is not obeyed",
			"internal/defender/failure.go", "	case waits:\n", "	case waits && r.status == http.StatusTooManyRequests:\n", client("^TestScenario_L23_")),
		one("wait-of-an-odd-refusal", "a wait that is stated with a refusal nobody knows is not obeyed",
			"internal/defender/failure.go", " && !(waits && row.Meaning == answer.Undecided):", ":", client("^TestScenario_L23_")),
		one("missing-role-looks-like-a-token", "AF10001 with 401 costs a token and a second call",
			huntingRows, `Codes: []string{"AF10001"}, Meaning: MissingRight`, `Codes: []string{"AF10002"}, Meaning: MissingRight`, client("^TestScenario_L28_")),
		one("second-try-for-nothing", "the second try after a refused token takes no call",
			"internal/defender/client.go", "		err = call.Do(ctx, try)\n	}\n	if", "		err = try(ctx)\n	}\n	if", client("^TestScenario_L9_")),
		one("token-forgotten-by-each", "each of the calls in flight forgets the token anew",
			tokenFile, "	if t.round != s.round {\n		return t.round != s.failed\n	}\n", "", client("^TestScenario_L9_Many")),
		one("refused-for-ever", "a token that is refused twice is asked for again and again",
			tokenFile, "	again = !s.onTrial\n", "	again = true\n", client("^TestScenario_L9_RefusedTwice")),
		one("mark-in-the-way", "a byte order mark makes an answer unreadable",
			"internal/rowpath/scanner.go", "		s.pos = len(byteOrderMark)\n", "		s.pos = 0\n", client("^TestScenario_L24_")),
		one("mark-hides-the-refusal", "a byte order mark hides what a refusal says",
			"internal/defender/failure.go", "r.parse(answer.TrimMark(text))", "r.parse(text)", client("^TestScenario_L24_")),
		one("empty-is-null-everywhere", "an empty object becomes null also where objects belong",
			"internal/defender/client.go", `return c.Type != "dynamic"`, `return c.Type != "objects"`, client("^TestScenario_R6_")),
		one("empty-is-null-at-any-depth", "an empty object within a value becomes null",
			"internal/rowpath/scanner.go", "if depth == 1 && base == 0 && s.inRow", "if base == 0 && s.inRow", client("^TestScenario_R6_")),
		one("count-cannot-read-null", "a newest arrival of {} stops the plan of a snapshot",
			"internal/defender/record.go", ` || string(raw) == "{}"`, ``, client("^TestScenario_R6_")),
		one("silence-counts-as-empty", "a part without a line is told as empty",
			"internal/defender/count.go", "	out := make([][]plan.BucketCount, len(parts))\n", "	out := make([][]plan.BucketCount, len(parts))\n	for i := range out {\n		out[i] = []plan.BucketCount{}\n	}\n",
			client("^TestScenario_R1_")),
		one("checksum-of-counts", "a snapshot's checksum leaves the keys out",
			"internal/defender/count.go", `"%d:%s;", b.Lo, sums[b.Lo]`, `"%d:%d;", b.Lo, b.Rows`, client("^TestScenario_R4_Checksum")),
		one("parts-without-checksums", "a snapshot's parts are counted without the checksum of their keys",
			"internal/defender/query.go", "		if t.Load == plan.Snapshot {", "		if false {", client("^TestScenario_R4_ChecksumOfParts$")),
		one("count-never-divided", "a count of many parts that is too long fails the table",
			"internal/defender/failure.go", "row.Meaning == answer.QueryTooLong && q.parts > 1", "row.Meaning == answer.QueryTooLong && q.parts < 0", client("^TestScenario_L10_")),
		one("entras-trouble-is-final", "trouble of Entra's own ends the run",
			"internal/answer/cloud.go", `Codes: []string{"AADSTS90033", "AADSTS50087", "AADSTS50196"}`, `Codes: []string{"AADSTS90033"}`, suite{"internal/credential", "^TestScenario_L26_"}),
		one("bearer-quoted", "a token that a service repeats is quoted",
			"internal/answer/quote.go", "FieldsFunc(Redact(text), breaks)", "FieldsFunc(text, breaks)", client("^TestScenario_C11_")),
	}
}
