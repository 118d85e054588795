package stack_test

import (
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// An app whose DEFENDER_TENANT_ID is changed goes on with nothing of the tenant before:
// its tables stop and say so, until a person sets a watermark; then the new tenant's rows
// come whole beside the old ones. The old id set again is another change.
func TestOtherTenant_StopsUntilAPersonDecides(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceEvents"
	s := start(t, events(t, table, 60), stack.Options{Instances: []stack.Instance{{Name: "West", Data: events(t, table, 90), Prefix: "W_"}}})
	s.setup("none")
	s.configure(table)
	before := map[string]string{"MIGRATION_APP_ID": "sample", "DEFENDER_INSTANCES": ""}
	after, west := maps.Clone(before), s.Settings()
	for _, setting := range []string{"TENANT_ID", "CLIENT_ID", "SECRET_NAME", "BASE_URL"} {
		after["DEFENDER_"+setting] = west["DEFENDER_WEST_"+setting]
	}
	inADX := "query --adx '" + table + "Raw | count'"
	for _, step := range []struct {
		settings map[string]string
		args     string
		code     int
		says     string
	}{
		{before, "migrate " + table, 0, "Success 60 rows"},
		{after, "plan " + table, 1, "another tenant than was copied"},
		{after, "migrate " + table, 1, "holds rows of " + stack.TenantID + ", and the settings say " + after["DEFENDER_TENANT_ID"]},
		{after, "runs " + table + " --last 1", 0, "Failed"},
		{after, inADX, 0, "60"},
		{after, "rewind " + table + " --yes", 0, "1 row appended"},
		{after, "migrate " + table, 0, "Success 90 rows"},
		{after, inADX, 0, "150"},
		{after, "migrate " + table, 0, "0 rows"},
		{before, "migrate " + table, 1, "holds rows of " + after["DEFENDER_TENANT_ID"]},
		{before, inADX, 0, "150"},
	} {
		out, code := s.says(s.commandLine(step.settings, words(step.args)...))
		if plain := regexp.MustCompile(`\s+`).ReplaceAllString(out, " "); code != step.code || !strings.Contains(plain, step.says) {
			t.Errorf("handler %s: exit code %d, want %d and %q:\n%s", step.args, code, step.code, step.says, out)
		}
	}
}
