package defender

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// versionOf tells the version of a list's row, and the instant that it bears; zero where
// the source has none, or it cannot be read. A row is its key and the member that changes
// with each version; where the source has no such member, or the row lacks one of them,
// it is all that it holds, in whatever order.
func versionOf(source schema.Source, row []byte) (plan.Version, time.Time) {
	decoder := json.NewDecoder(bytes.NewReader(row))
	decoder.UseNumber()
	var members map[string]json.RawMessage
	if decoder.Decode(&members) != nil {
		return digest("raw", string(row)), time.Time{}
	}
	if source.Version == "" {
		return digest(canonical(row)...), time.Time{}
	}
	parts := []string{"version"}
	for _, name := range append(append([]string{}, source.Key...), source.Version) {
		text, ok := member(members, name)
		if !ok {
			return digest(canonical(row)...), time.Time{}
		}
		parts = append(parts, text)
	}
	at, err := plan.ParseStamp(parts[len(parts)-1])
	if err != nil {
		at = time.Time{}
	}
	return digest(parts...), at
}

// member returns the text of a member by its name, in any letter case where it is not
// there as spelled; false for none and for null.
func member(members map[string]json.RawMessage, name string) (string, bool) {
	raw, ok := members[name]
	for other, value := range members {
		if ok {
			break
		}
		if strings.EqualFold(other, name) {
			raw, ok = value, true
		}
	}
	if !ok || string(raw) == "null" {
		return "", false
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	return string(raw), true
}

// canonical returns a row whose members stand in the order of their names, at all depths.
func canonical(row []byte) []string {
	decoder := json.NewDecoder(bytes.NewReader(row))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) == nil {
		if text, err := json.Marshal(value); err == nil {
			row = text
		}
	}
	return []string{"row", string(row)}
}

// digest hashes texts so that no two lists of them meet.
func digest(parts ...string) plan.Version {
	hash := sha256.New()
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write([]byte(part))
	}
	return plan.Version(hash.Sum(nil)[:len(plan.Version{})])
}
