package main

import (
	"context"
	"io"
	"strings"
	"testing"
)

// Who is granted what is read before anything is asked of ADX: a slip of the pen makes no
// principal that nobody has.
func TestSetup_RefusesPrincipalsThatAreNone(t *testing.T) {
	const app, tenant = "11111111-2222-3333-4444-555555555555", "66666666-2222-3333-4444-555555555555"
	for _, tt := range []struct{ args, want string }{
		{"--grant " + app, "--grant: want the application id and the tenant id"},
		{"--grant aadapp=" + app + ";" + tenant, "--grant: want"},
		{"--grant " + app + ";contoso.com", "--grant: want"},
		{"--reader soc", "--reader: want a user principal name"},
		{"--reader a'b@contoso.com", "--reader: want"},
		{"--reader a@b;c.com", "--reader: want"},
		// Well formed: the next thing that is wrong is that no setting is there.
		{"--grant " + app + ";" + tenant + " --reader soc@contoso.com", "ADX_CLUSTER_URL: is not set"},
	} {
		err := run(append([]string{"setup"}, strings.Fields(tt.args)...), &process{ctx: context.Background(), getenv: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.want)
		}
	}
}

// The host runs on without a timer that it refuses: whoever prepares the database hears
// of it.
func TestSetup_SaysThatAScheduleNeverTicks(t *testing.T) {
	_, err := runWith(t, map[string]string{"MIGRATION_SCHEDULE": "0 0 * * * 7"}, "setup")
	if want := "MIGRATION_SCHEDULE: the Functions host refuses this schedule"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
