package state

import (
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/plan"
)

const (
	statePrefix  = "state/"
	ledgerPrefix = "ledger/"
	suffix       = ".json"
)

// The metadata of a blob. Values are ASCII: escaped text, or RFC 3339 times.
const (
	metaInstance  = "instance"  // ledger
	metaSource    = "source"    // ledger
	metaOpen      = "open"      // ledger: 1 while the run is open, then 0
	metaOpenRun   = "openrun"   // state; absent when none
	metaWatermark = "watermark" // state; absent when zero
	metaNotBefore = "notbefore" // state; absent when zero
)

// defaultInstance stands for the instance "". An instance that really bears this
// name is written with its first letter escaped, %64efault, so that the two
// never meet.
const defaultInstance = "default"

func instancePart(instance string) string {
	switch instance {
	case "":
		return defaultInstance
	case defaultInstance:
		return "%64efault"
	}
	return blobstore.Escape(instance)
}

func parseInstancePart(part string) (string, error) {
	if part == defaultInstance {
		return "", nil
	}
	return blobstore.Unescape(part)
}

func stateName(key plan.Key) string {
	return statePrefix + instancePart(key.Instance) + "/" + blobstore.Escape(key.Short().Source) + suffix
}

// parseStateName reports false for a blob that is not ours.
func parseStateName(name string) (plan.Key, bool) {
	rest, ok := strings.CutPrefix(name, statePrefix)
	rest, ok2 := strings.CutSuffix(rest, suffix)
	part, escaped, ok3 := strings.Cut(rest, "/")
	if !ok || !ok2 || !ok3 {
		return plan.Key{}, false
	}
	instance, err := parseInstancePart(part)
	source, err2 := blobstore.Unescape(escaped)
	return plan.Key{Instance: instance, Source: source}.Full(), err == nil && err2 == nil
}

func ledgerName(runID string) string { return ledgerPrefix + blobstore.Escape(runID) + suffix }

func parseLedgerName(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, ledgerPrefix)
	rest, ok2 := strings.CutSuffix(rest, suffix)
	run, err := blobstore.Unescape(rest)
	return run, ok && ok2 && err == nil
}

func stateMetadata(s *plan.TableState) map[string]string {
	m := make(map[string]string)
	if s.OpenRun != "" {
		m[metaOpenRun] = blobstore.Escape(s.OpenRun)
	}
	if s.Shown != "" {
		m[metaVersions] = blobstore.Escape(s.Shown)
	}
	for name, t := range map[string]time.Time{metaWatermark: s.Watermark, metaNotBefore: s.NotBefore} {
		if !t.IsZero() {
			m[name] = t.UTC().Format(time.RFC3339Nano)
		}
	}
	return m
}

// summary reads a state's metadata. A value that cannot be read counts as absent:
// the state itself is what decides.
func summary(key plan.Key, it blobstore.Item) Summary {
	s := Summary{Key: key, Modified: it.Modified, TableLease: it.Leased}
	s.OpenRun, _ = blobstore.Unescape(it.Metadata[metaOpenRun])
	s.Versions, _ = blobstore.Unescape(it.Metadata[metaVersions])
	s.Watermark, _ = time.Parse(time.RFC3339Nano, it.Metadata[metaWatermark])
	s.NotBefore, _ = time.Parse(time.RFC3339Nano, it.Metadata[metaNotBefore])
	return s
}

func ledgerMetadata(l *plan.Ledger) map[string]string {
	open := "1"
	if !l.Ended.IsZero() {
		open = "0"
	}
	return map[string]string{
		metaInstance: instancePart(l.Instance),
		metaSource:   blobstore.Escape(plan.Key{Source: l.Table.Source}.Short().Source),
		metaOpen:     open,
	}
}

func ledgerOf(it blobstore.Item, key plan.Key) bool {
	return it.Metadata[metaInstance] == instancePart(key.Instance) && it.Metadata[metaSource] == blobstore.Escape(key.Short().Source)
}
