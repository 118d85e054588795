package state

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestStateName_SaysInstanceAndSource(t *testing.T) {
	tests := []struct {
		key  plan.Key
		want string
	}{
		{plan.Key{Source: "DeviceInfo"}, "state/default/DeviceInfo.json"},
		{plan.Key{Instance: "default", Source: "DeviceInfo"}, "state/%64efault/DeviceInfo.json"},
		{plan.Key{Instance: "contoso.com", Source: "api/machines"}, "state/contoso%2Ecom/machines.json"},
	}
	for _, tt := range tests {
		if got := stateName(tt.key); got != tt.want {
			t.Errorf("stateName(%v) = %q, want %q", tt.key, got, tt.want)
		}
	}
}

func TestNames_AreReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := plan.Key{Instance: rapid.String().Draw(t, "instance"), Source: rapid.String().Draw(t, "source")}
		if got, ok := parseStateName(stateName(key)); !ok || got != key {
			t.Errorf("%q reads as %+v, %v; want %+v", stateName(key), got, ok, key)
		}
		run := rapid.String().Draw(t, "run")
		if got, ok := parseLedgerName(ledgerName(run)); !ok || got != run {
			t.Errorf("%q reads as %q, %v; want %q", ledgerName(run), got, ok, run)
		}
	})
}

func TestParseStateName_RefusesWhatIsNotOurs(t *testing.T) {
	for _, name := range []string{"state/DeviceInfo.json", "state/default/DeviceInfo", "ledger/x.json", "state/%zz/DeviceInfo.json"} {
		if key, ok := parseStateName(name); ok {
			t.Errorf("parseStateName(%q) = %+v", name, key)
		}
	}
}
