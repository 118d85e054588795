package config_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
)

// Whatever is pasted into the wrong setting stands in no error and no warning, under
// the setting's own name and under that of an instance.
func TestSettings_QuoteNothingThatWasPasted(t *testing.T) {
	const mark = "pAsTeD9"
	pasted := []string{
		"abc8Q~" + mark + ".x_yz-1234567890abcdefghij",
		mark + "Y29uZmlkZW50aWFsIGFuZCBsb25nIGVub3VnaCB0byBiZSBhIGtleQ==",
		"DefaultEndpointsProtocol=https;AccountName=" + mark + ";AccountKey=" + mark + "/a+b==;EndpointSuffix=core.windows.net",
		"tenant_id='" + mark + "'; client_id='" + mark + "'; client_secret='" + mark + "~'; more",
		"http://acct.blob.core.windows.net/" + mark + "?sv=1&sig=" + mark,
		"https://user:" + mark + "@host.example",
		"0 0 " + mark + "~ * * *",
		"-----BEGIN PRIVATE KEY-----\n" + mark + "\n",
	}
	var c config.Config
	for _, s := range config.Settings(&c) {
		refused := 0
		names := []string{s.Name}
		if rest, ok := strings.CutPrefix(s.Name, "DEFENDER_"); ok {
			names = append(names, "DEFENDER_WEST_"+rest)
		}
		for _, name := range names {
			for _, text := range pasted {
				env := getenv(map[string]string{
					"DEFENDER_INSTANCES": "West", "DEFENDER_WEST_TENANT_ID": "21111111-2222-3333-4444-555555555555",
					"MIGRATION_SCHEDULE": "0 0 * * * *", name: text,
				})
				read, err := config.Read(env)
				_, own, alone := config.ReadInstance(env, "West")
				_, adx := config.ReadADX(env)
				said := strings.Join(config.Warnings(env, []string{name + "=" + text}), "\n")
				for _, fault := range []error{err, own.Fault, alone, adx} {
					if fault != nil {
						refused++
						said += "\n" + fault.Error()
					}
				}
				for _, i := range read.Instances {
					if i.Fault != nil {
						refused++
						said += "\n" + i.Fault.Error()
					}
				}
				if strings.Contains(strings.ToLower(said), strings.ToLower(mark)) {
					t.Errorf("%s: %q is quoted:\n%s", name, text, said)
				}
			}
		}
		if refused == 0 && !takesAnyText[s.Name] {
			t.Errorf("%s refuses nothing that was pasted", s.Name)
		}
	}
}

// takesAnyText are the settings whose texts have no form that could be checked.
var takesAnyText = map[string]bool{
	"DEFENDER_CREDENTIAL_TOKEN_FILE": true, "DEFENDER_CLIENT_CERTIFICATE_PASSWORD": true, "DEFENDER_TOKEN_CACHE": true,
	"DEFENDER_CLIENT_SECRET": true, "ADX_CLIENT_SECRET": true, "ADX_CLIENT_CERTIFICATE_PASSWORD": true,
}

// What a person meant and misspelled is shown.
func TestSettings_QuoteWhatIsSurelyNoSecret(t *testing.T) {
	for name, value := range map[string]string{
		"DEFENDER_API": "xdr", "DEFENDER_CLOUD": "gcc-low", "DEFENDER_CALLS_PER_MINUTE": "1000000", "MIGRATION_LEASE": "5m",
		"DEFENDER_FREE_SHARE": "1.5", "MIGRATION_SETTLE": "soon", "MIGRATION_APP_ID": "app", "KEY_VAULT_URL": "myvault", "MIGRATION_SCHEDULE": "0 61 * * * Monday-Fri",
	} {
		shown := value
		if name == "MIGRATION_SCHEDULE" {
			shown = "61"
		}
		if _, err := config.Read(getenv(map[string]string{name: value})); err == nil || !strings.Contains(err.Error(), `"`+shown+`"`) {
			t.Errorf("%s=%s: %v, want the value shown", name, value, err)
		}
	}
}

// An id that can be none is told under its own setting.
func TestRead_FaultyIDsNameTheirSetting(t *testing.T) {
	for _, name := range []string{"DEFENDER_CLIENT_ID", "DEFENDER_CREDENTIAL_IDENTITY", "ADX_CLIENT_ID", "ADX_CREDENTIAL_IDENTITY", "AzureWebJobsStorage__clientId"} {
		if _, err := config.Read(getenv(map[string]string{name: "my application"})); err == nil || !strings.HasPrefix(err.Error(), name+": want the application (client) id") {
			t.Errorf("%s: %v, want a fault of that setting", name, err)
		}
	}
}
