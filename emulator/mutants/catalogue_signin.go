package mutants

// signInMutants sign in to the wrong place, with the wrong thing, or hide why not.
func signInMutants() []mutant {
	const clouds, certificate, federated, settings = "internal/cloud/cloud.go", "internal/credential/certificate.go", "internal/credential/federated.go", "internal/config/credential.go"
	matrix := suite{"internal/cloud", "^TestCloud_Matrix"}
	emulated := func(run string) suite { return suite{"internal/credential", run} }
	return []mutant{
		one("token-for-the-called-host", "Defender for Endpoint gets a token for the host that is called",
			clouds, "globalMDE, mdeAudience, exchange}", "globalMDE, globalMDE, exchange}", matrix),
		one("dod-is-gcc-high", "a DoD tenant is looked for at the Graph of GCC High",
			clouds, "https://dod-graph.microsoft.us", "https://graph.microsoft.us", matrix),
		one("region-moves-the-audience", "a region changes what the token is for",
			clouds, "return endpoint(base, table[c.Name].audience)", "return endpoint(base, base)", matrix),
		one("china-is-any-typo", "China is refused without the reason",
			clouds, `"cn": errChina, "china": errChina, `, ``, suite{"internal/cloud", "^TestParse_Refuses"}),
		one("scope-of-the-default-cloud", "an address of another cloud gets a token for the public one",
			"internal/config/cloud.go", "		d.Cloud, d.Region = found[0], \"\"\n", "		d.Region = \"\"\n", suite{"internal/config", "^TestRead_Cloud"}),
		one("clouds-not-compared", "an authority of one cloud goes with the hosts of another",
			"internal/config/cloud.go", "w.closed == nil && (len(found) == 0 ||", "w.closed == nil && (true ||", suite{"internal/config", "^TestRead_Cloud"}),
		one("public-authority-for-all-clusters", "a person signs in to the public cloud for a cluster of the US government",
			"internal/cloud/host.go", "if strings.HasSuffix(strings.ToLower(host), suffix) {", "if host == suffix {", suite{"internal/cloud", "^TestAuthorityOfCluster_"}),
		one("old-name-in-capitals-alone", "a name of old in small letters is asked of Defender as it stands",
			"internal/plan/oldname.go", "if strings.EqualFold(old, source) {", "if old == source {", suite{"internal/plan", "^TestOldNames_"}),
		one("ended-certificate-is-shown", "a certificate that has ended is shown and refused without the date",
			certificate, "case now.After(c.NotAfter):", "case now.After(c.NotAfter) && now.Before(c.NotBefore):", emulated("^TestCertificate_SaysWhatIsWrong")),
		one("pfx-as-the-vault-gives-it", "a PFX in base64, as Key Vault gives it, cannot be read",
			certificate, "content = decoded // as Key Vault gives it", "_ = decoded", emulated("^TestCertificate_EveryForm")),
		one("exchange-hides-why", "that the app has no such managed identity is told as trouble of Entra ID",
			federated, "	if err := e.show(ctx); err != nil {\n", "	if err := e.show(ctx); err != nil && ctx.Err() != nil {\n", emulated("^TestEmulated_Refusals")),
		one("password-of-another", "an instance's own certificate is opened with the password of another",
			settings, `if !s.own("DEFENDER_CLIENT_CERTIFICATE_PASSWORD")`, `if s.instance == ""`, suite{"internal/config", "^TestRead_WhereSecretsLie"}),
		one("reference-is-the-secret", "a reference that the platform did not resolve is shown as the secret",
			"internal/secret/ref.go", "case strings.HasPrefix(low, unresolved):", "case low == unresolved:", suite{"internal/config", "^TestRead_SaysWhatACredentialLacks"}),
		one("refusal-read-up", "why a person could not sign in by a code is lost",
			"internal/credential/person.go", "		p.said.restore(err)\n", "", emulated("^TestDeviceCode_SaysWhyNot")),
		one("person-under-the-host", "an app that nobody sits at waits for a person",
			settings, "	if !slices.Contains(delegated, kind) {\n		return nil\n	}\n	setting", "	if kind != \"\" {\n		return nil\n	}\n	setting", suite{"internal/config", "^TestRead_APerson"}),
		one("delegated-rights-unread", "the rights of a person are told as none",
			"internal/defender/failure.go", "	if said.Scopes != \"\" {\n", "	if said.Scopes == \"-\" {\n", suite{"internal/defender", "^TestClient_ForbiddenNamesTheRole"}),
		one("old-name-published-anew", "a row under a name of old is published under another one, beside the user's",
			"internal/adx/controltables.go", `{"SourceTable", r.WrittenName()}`, `{"SourceTable", r.SourceTable}`, suite{"internal/adx", "^TestControlTables_Applies"}),
		one("two-names-two-copies", "a table under two names is copied by the newer row of the two",
			"internal/plan/oldname.go", "if a.Written == b.Written || ", "if a.SourceTable == b.SourceTable || ", suite{"handler/app", "^TestConfiguration_OldNames"}),
		one("auto-stays-where-it-began", "the role for Graph is looked at once, and never again",
			"internal/defender/auto.go", "a.use != a.graph && !a.now().Before(a.looked.Add(lookAgain))", "a.use == nil", suite{"internal/defender", "^TestAuto_Moves"}),
		one("end-looks-like-a-typo", "the end of Defender for Endpoint's API is told as a wrong address",
			"internal/defender/failure.go", "	case q.source == nil && c.ended(r):\n", "	case q.source == nil && c.ended(r) && r.status == 0:\n", suite{"internal/defender", "^TestMDE_AfterItsEnd"}),
		one("pause-is-a-failure", "a paused Fabric capacity fails every table at each tick",
			"internal/adx/classify.go", "	case answer.paused:\n", "	case answer.paused && answer.noCapacity:\n", suite{"internal/adx", "^TestErrors_HaveAKind"}),
	}
}
