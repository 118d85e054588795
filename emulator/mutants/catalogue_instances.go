package mutants

// instanceMutants let one tenant take what is another's.
func instanceMutants() []mutant {
	const (
		settings  = "internal/config/instance.go"
		wiring    = "handler/app/instances.go"
		rows      = "handler/app/configuration.go"
		places    = "internal/pipeline/places.go"
		imported  = "internal/msticpy/file.go"
		databases = "internal/adx/landed.go"
	)
	app := suite{"handler/app", "^TestInstances_"}
	config := suite{"internal/config", "^TestLookup_|^TestRead_Instances$"}
	adx := suite{"internal/adx", "^TestInstances_"}
	return []mutant{
		one("unread-configuration-is-final", "a wake-up ends for good where ADX refuses the read of the configuration",
			wiring, "errors.Is(err, errUnread)", "false", app),
		one("instance-without-defaults", "what is not set under an instance's name is not taken from the settings without one",
			settings, "{{variables, connections}, {{setting}, {connectionSetting}}}", "{{variables, connections}}", config),
		one("instance-of-another-tenant", "an instance whose tenant's setting is misspelled copies the default tenant under its name",
			settings, "		levels = levels[:1]\n", "", config),
		one("instance-named-like-a-setting", "an instance called TENANT reads the settings of the default one",
			settings, "slices.Contains(firstWords(), strings.ToUpper(name))", "slices.Contains(firstWords(), name)", config),
		one("instance-fault-stops-all", "one faulty instance keeps the handler from starting",
			"internal/config/config.go", "	if whole {\n		return out, nil\n	}\n", "	_ = whole\n", config),
		one("instance-quota-of-its-own", "two instances of one tenant take its calls twice",
			wiring, "return strings.ToLower(i.Defender.TenantID)", "return strings.ToLower(i.Name + \"-\" + i.Defender.TenantID)", app),
		one("instance-quota-by-cloud", "a tenant that is named under global and under gcc has its calls twice",
			wiring, "return strings.ToLower(i.Defender.TenantID)", "return strings.ToLower(i.Defender.Cloud + \"-\" + i.Defender.TenantID)", app),
		one("instance-quota-renamed", "a second instance's cloud renames the quota's blob, and the calls that were taken are forgotten",
			wiring, "			d.Cloud = known.Cloud\n", "", app),
		one("instances-share-a-table", "the rows of two tenants are mixed in one raw table",
			rows, "case !owned || o.err == nil && o.instance == row.Instance:", "case !owned || o.err == nil && o.instance != \"?\":", app),
		one("instance-newcomer-takes-a-table", "an instance that is named first takes the table in which another has published rows",
			rows, "	if row.RunID != \"\" {", "	if row.RunID == \"?\" {", app),
		one("instance-lends-its-table", "a table that a user's row switches off is another tenant's until it is switched on",
			rows, "		return publisher, nil\n	case", "		return stranger, nil\n	case", app),
		one("instance-refused-goes-on", "a wake-up that was put off works on a row that is refused by now",
			wiring, "err = r.check(ctx, req.Key); err != nil && fault", "err != nil && fault", app),
		one("instance-prefix-published", "the prefix comes into the user's row, and each run adds another",
			wiring, "strings.TrimPrefix(row.DestinationTable, p.prefix)", "row.DestinationTable", app),
		one("instance-spelled-otherwise", "a wake-up for WEST is nobody's",
			wiring, "	req.Key.Instance = strings.ToLower(req.Key.Instance)\n", "", app),
		one("instance-hangs-for-all", "an instance whose calls hang takes every place of the process",
			places, "return &Places{own: 1, shared: make(chan struct{}, max(0, total-instances))}", "return &Places{own: total}",
			suite{"internal/pipeline", "^TestPlaces_"}),
		one("call-before-its-place", "a call of the quota is taken that waits for a place of the process",
			callsFile, "	if leave, err = t.place(ctx); err != nil {\n		return nil, err\n	}\n	err = errClosed\n	if t.open() {\n		if err = t.calls.ready(ctx); err == nil {\n			err = t.calls.quota.Take(ctx, t.table, t.urgent)\n		}\n	}\n	if err != nil {\n		leave()\n		return nil, err\n	}\n	return leave, nil",
			"	if !t.open() {\n		return nil, errClosed\n	}\n	if err = t.calls.ready(ctx); err == nil {\n		err = t.calls.quota.Take(ctx, t.table, t.urgent)\n	}\n	if err != nil {\n		return nil, err\n	}\n	return t.place(ctx)",
			pipelineTests("^TestScenario_L7_")),
		one("half-of-the-places", "one table alone has half of the process's calls",
			places, "&Places{own: max(1, total)}", "&Places{own: max(1, total/2)}", pipelineTests("^TestScenario_L6_")),
		one("instance-orphans-everywhere", "a run of a database without control tables is taken for an orphan",
			databases, "c.controlTable(configurationTable), c.controlTable(auditTable)", "configurationTable, auditTable", adx),
		one("instance-rows-by-spelling", "the newest row of west and of West are two tables",
			"infra/kql/schema.kql", ", Instance = tolower(Instance);", ";", adx),
		one("damaged-key-is-a-path", "a certificate that is damaged passes for the path of a file, which errors name",
			"internal/secret/ref.go", "	case !IsPath(text):\n", "	case false:\n", suite{"internal/secret", "^TestParseFileRef_"}),
		one("client-secret-is-a-path", "a client secret that is pasted for a certificate passes for the path of a file, which errors name",
			"internal/secret/ref.go", "slices.Contains(endings, strings.ToLower(filepath.Ext(text)))", "strings.Contains(text, \".\") || slices.Contains(endings, \"\")", suite{"internal/secret", "^TestParseFileRef_"}),
		one("pasted-authority-is-quoted", "an error of a credential quotes what was pasted for its authority",
			"internal/credential/validate.go", "got %s\", secret.Quoted(cfg.AuthorityHost))", "got %.80q\", cfg.AuthorityHost)", suite{"internal/credential", "^TestNew_QuotesNothing"}),
		one("any-text-is-a-scope", "what was pasted for a scope is asked for, and named by errors",
			"internal/config/value.go", "		if !scopeForm.MatchString(v) {", "		if false {", suite{"internal/config", "^TestSettings_QuoteNothing"}),
		one("faulty-instance-limits-all", "the API of an instance that copies nothing keeps the handler from starting",
			"internal/config/config.go", "		return i.Fault == nil && (", "		return (", suite{"internal/config", "^TestRead_AFaultyInstance"}),
		one("identity-for-an-application", "ADX is signed in to as the application that a managed identity is none of",
			"internal/config/application.go", "	case i.Defender.Credential.Kind == kindManagedIdentity:\n", "	case false:\n", suite{"internal/config", "^TestRead_EachPair"}),
		one("authority-of-all-wins", "the secret of an instance goes to the authority of the settings without a name",
			"internal/config/instance.go", "	if s.own(tenantSetting) && !s.own(authoritySetting) {", "	if false {", suite{"internal/config", "^TestRead_AnInstancesOwn"}),
		one("address-of-another-api", "an instance asks Graph at the address of Defender for Endpoint",
			"internal/config/instance.go", "(others || s.own(setting+suffix))", "(others && s.own(setting+suffix))", suite{"internal/config", "^TestRead_AnInstancesOwn"}),
		one("state-unread-refuses-for-good", "a table whose owner cannot be told is refused for good",
			rows, "case errors.Is(err, errUntold):", "case false:", suite{"handler/app", "^TestInstances_AStateThat"}),
		one("one-bad-name-stops-all", "a name in DEFENDER_INSTANCES that can be none keeps every instance from starting",
			"internal/config/config.go", " && s.Name != instancesSetting })", " })", suite{"internal/config", "^TestRead_Instances$"}),
		one("refusal-each-tick", "a faulty instance fills the audit log, a row a table and tick",
			"handler/app/audit.go", "	return a.daily(ctx, row)\n", "	return a.deliver(ctx, row)\n", suite{"handler/app", "^TestAuditor_"}),
		one("another-tenant-goes-on", "another tenant's rows are copied from the watermark of the one before",
			"internal/pipeline/tenant.go", "	if !m.othersRows() {\n", "	if m.cfg.Tenant != \"-\" {\n", suite{"internal/pipeline", "^TestTenant_"}),
		one("run-of-two-tenants", "an open run of one tenant is finished with rows of another",
			"internal/pipeline/migration.go", "		ledger = nil // the command has ended it\n", "", suite{"internal/pipeline", "^TestTenant_"}),
		one("misspelled-tenant-stays", "a tenant that could not be asked can never be corrected",
			"internal/pipeline/migration.go", "	m.state.Generation++\n", "	m.state.Generation++\n	if m.state.Tenant == \"\" {\n		m.state.Tenant = m.cfg.Tenant\n	}\n", suite{"internal/pipeline", "^TestTenant_"}),
		one("one-database-hides-all", "a database of one instance that cannot be read hides what the others lack",
			"handler/app/databases.go", "	case err != nil && control:\n", "	case err != nil && name != \"\":\n", suite{"handler/app", "^TestLacking_"}),
		one("import-prints-a-secret", "a client secret of msticpyconfig.yaml is printed as a setting",
			imported, "isSecret(key, n.Value):\n		return Value{InFile: n.Value != \"\"}, nil", "isSecret(key, n.Value):\n		return Value{Text: n.Value}, nil",
			suite{"handler", "^TestImport_"}),
	}
}
