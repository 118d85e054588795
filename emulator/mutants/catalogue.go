package mutants

import "slices"

// The files that most mutants change.
const (
	answerFile    = "internal/pipeline/pipeline.go"
	migrationFile = "internal/pipeline/migration.go"
	outboxFile    = "internal/pipeline/outbox.go"
	callsFile     = "internal/pipeline/calls.go"
	planFile      = "internal/pipeline/plan.go"
	runFile       = "internal/pipeline/run.go"
	confirmFile   = "internal/pipeline/confirm.go"
	commandFile   = "internal/pipeline/command.go"
	repackFile    = "internal/pipeline/repack.go"
	finishFile    = "internal/pipeline/finish.go"
	copyFile      = "internal/pipeline/copy.go"
	mendFile      = "internal/pipeline/mend.go"
	tornFile      = "internal/pipeline/torn.go"
	rebuildFile   = "internal/pipeline/rebuild.go"
	lateFile      = "internal/pipeline/late.go"
	partsFile     = "internal/pipeline/parts.go"
	putBackFile   = "internal/pipeline/putback.go"
	lifeFile      = "internal/plan/slicelife.go"
	listFile      = "internal/pipeline/list.go"
	listPartsFile = "internal/plan/listparts.go"
	accountFile   = "internal/plan/account.go"
	verdictFile   = "internal/plan/verdict.go"
	queryFile     = "internal/defender/query.go"
)

// catalogue returns every mutant. Most are what other collectors of the same
// data do, or did until it lost rows.
func catalogue() []mutant {
	return slices.Concat(windowMutants(), countMutants(), sendMutants(), fenceMutants(), endMutants(), answerMutants(), scheduleMutants(), storedMutants(), processMutants(), accountMutants(), hashMutants(), adxMutants(), answerTableMutants(), idleMutants(), signInMutants(), viewMutants(), commandMutants(), instanceMutants(), sourceMutants(), listMutants(), savedMutants(), exportMutants())
}

// pipelineTests are tests of the pipeline against a world in memory.
func pipelineTests(run string) suite { return suite{pkg: "internal/pipeline", run: run} }

// anySchedule is the test in which everything fails by chance.
const anySchedule = "^TestMigrate_AnyFaultSchedule$"

// one is a mutant of a single edit.
func one(name, bug, file, old, new string, tests suite) mutant {
	return mutant{name: name, bug: bug, edits: []edit{{file, old, new}}, tests: tests}
}
