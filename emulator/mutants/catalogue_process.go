package mutants

// processMutants break what the handler owes its host and its operator.
func processMutants() []mutant {
	const (
		logFile     = "internal/host/log.go"
		parentFile  = "internal/host/parent.go"
		serverFile  = "handler/main.go"
		configFile  = "internal/config/config.go"
		timeoutFile = "internal/config/timeout.go"
		warningFile = "internal/config/warning.go"
		routerFile  = "handler/app/router.go"
	)
	host := func(run string) suite { return suite{pkg: "internal/host", run: run} }
	config := func(run string) suite { return suite{pkg: "internal/config", run: run} }
	handler := func(run string) suite { return suite{pkg: "handler", run: run} }
	app := func(run string) suite { return suite{pkg: "handler/app", run: run} }
	return []mutant{
		one("errors-on-stdout", "an error is information to the host",
			logFile, "	case level >= slog.LevelError:\n		return h.fail\n	case level >= slog.LevelWarn:\n		return h.warn\n", "", host("^TestNewLogger")),
		one("error-taken-for-warning", "an error that speaks of a warning is rated as one",
			logFile, "slog.NewJSONHandler(errorLines{stderr}, o)", "slog.NewJSONHandler(stderr, o)", host("^TestNewLogger")),
		one("orphan-lives-on", "a handler outlives its host",
			parentFile, "parent() != first", "parent() == 0 && first == 0", handler("^TestServe_EndsWhenItsParentIsGone$")),
		one("orphan-dies-of-its-log", "a pipe that broke with the host kills the handler before its checkpoints",
			serverFile, "	signal.Ignore(syscall.SIGPIPE)\n", "", handler("^TestServe_EndsWhenItsParentIsGone$")),
		one("port-hides-settings", "a port fault hides every faulty setting",
			serverFile, "if err = errors.Join(err, settingsErr); err != nil", "if err == nil {\n\t\terr = settingsErr\n\t}\n\tif err != nil", handler("^TestServe_APortFaultHidesNoSetting$")),
		one("slots-share-an-id", "two slots of one site write RunIds of one app",
			configFile, "	return site + \"/\" + slot\n", "	return site\n", config("^TestRead_AppIDOfSiteAndSlot$")),
		one("answer-at-the-limit", "the handler answers only when the host has ended it",
			timeoutFile, "c.FunctionTimeout * 5 / 6", "c.FunctionTimeout", config("^TestRead_FunctionTimeout$")),
		one("answer-limit-not-wired", "the runner knows nothing of the host's limit",
			routerFile, "host.Limits{AnswerWithin: a.cfg.AnswerWithin()}", "host.Limits{}", app("^TestRouter_AnswersBeforeTheHostsLimit$")),
		one("typo-ignored", "a misspelled setting is passed over in silence",
			warningFile, "return append(out, Unknown(environ)...)", "return out", config("^TestWarnings_NameWhatIsNotRead$")),
	}
}
