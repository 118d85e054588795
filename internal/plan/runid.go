package plan

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// AppIDLength is the length of an app's id, the beginning of its RunIds.
const AppIDLength = 6

// RunIDLength is the length of every RunId: app id, UTC time to the second,
// eight random characters. One length and letters and digits alone make a RunId
// one term, which Kusto's index finds and which is never the prefix of another.
const RunIDLength = AppIDLength + 14 + 8

var appID = regexp.MustCompile(`^[a-z0-9]{6}$`)

// CheckAppID refuses an id that RunIds cannot begin with.
func CheckAppID(id string) error {
	if appID.MatchString(id) {
		return nil
	}
	return fmt.Errorf("want %d lower-case letters and digits, got %q", AppIDLength, clip(id, 40))
}

// RunID builds a RunId; random needs eight or more letters and digits.
func RunID(app string, now time.Time, random string) string {
	return app + now.UTC().Format(runIDTime) + strings.ToLower(random[:8])
}

// runIDTime is how a RunId writes its instant.
const runIDTime = "20060102150405"

// RunIDTime returns when a run began by its RunId, in UTC, to the second; zero where
// the text is no RunId.
func RunIDTime(id string) time.Time {
	if len(id) != RunIDLength {
		return time.Time{}
	}
	t, err := time.Parse(runIDTime, id[AppIDLength:AppIDLength+len(runIDTime)])
	if err != nil {
		return time.Time{}
	}
	return t
}

// IngestTag is the ingest-by tag of one slice of one run, without prefix:
// alphanumeric, since Kusto's `has` splits at everything else.
func IngestTag(runID string, slice int) string { return fmt.Sprintf("%ss%06d", runID, slice) }
