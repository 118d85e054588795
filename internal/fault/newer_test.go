package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
)

func TestNewer_IsAWaitOfAnHour(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	err := fmt.Errorf("read state: %w", fault.Newer(now, 3, 2, "9.8.7"))
	until, ok := fault.Until(err)
	if !ok || !until.Equal(now.Add(time.Hour)) || !errors.Is(err, fault.ErrNewer) {
		t.Errorf("%v waits until %v", err, until)
	}
	for _, want := range []string{"newer format 3", "version 9.8.7", "formats up to 2", "deploy the newer version again"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if err := fault.Newer(now, 3, 2, ""); !strings.Contains(err.Error(), "version unknown") {
		t.Error(err)
	}
}
