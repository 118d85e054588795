package defender_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/defender"
)

func TestNew_RefusesEveryFaultAtOnce(t *testing.T) {
	_, err := defender.New(defender.Config{API: "x", Version: "v2", BaseURL: "http://graph.microsoft.com"})
	for _, part := range []string{"API", "version", "credential", "scope", "base URL"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("New = %v, want a complaint about %s", err, part)
		}
	}
}
