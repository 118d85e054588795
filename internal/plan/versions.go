package plan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"
)

// Version stands for one version of one thing of a list: a hash of its key and of what
// changes with each version. Sixteen bytes of a good hash never meet by chance.
type Version [16]byte

// Versions are versions that a list has shown, each with the instant that it bears, by
// which it is forgotten. About 50 bytes a version; not safe for concurrent use.
type Versions struct {
	shown map[Version]int64 // ticks
}

// Add remembers a version and reports whether it was new.
func (v *Versions) Add(version Version, at time.Time) (fresh bool) {
	if v.Has(version) {
		return false
	}
	if v.shown == nil {
		v.shown = map[Version]int64{}
	}
	v.shown[version] = ticksOf(at)
	return true
}

// Has reports whether the version was shown; of nil Versions none was.
func (v *Versions) Has(version Version) bool {
	if v == nil {
		return false
	}
	_, ok := v.shown[version]
	return ok
}

// Same reports whether both hold the same versions.
func (v *Versions) Same(o *Versions) bool { return maps.Equal(v.shown, o.shown) }

// Len returns how many there are.
func (v *Versions) Len() int {
	if v == nil {
		return 0
	}
	return len(v.shown)
}

// Since returns the versions of both that bear begin or a later instant: those that a
// read from begin on can show again.
func (v *Versions) Since(begin time.Time, others *Versions) *Versions {
	out := &Versions{shown: map[Version]int64{}}
	least := ticksOf(begin)
	for _, from := range []*Versions{others, v} {
		if from == nil {
			continue
		}
		for version, at := range from.shown {
			if at >= least {
				out.shown[version] = at
			}
		}
	}
	return out
}

// versionsMark begins the stored form; its last character counts forms.
var versionsMark = []byte("D2AV1\n")

const versionBytes = len(Version{}) + 8

var errVersions = errors.New("the record of what a list has shown is damaged")

// MarshalBinary returns the stored form: a mark, then each version and its ticks, in
// order.
func (v *Versions) MarshalBinary() ([]byte, error) {
	keys := slices.SortedFunc(maps.Keys(v.shown), func(a, b Version) int { return bytes.Compare(a[:], b[:]) })
	out := make([]byte, 0, len(versionsMark)+len(keys)*versionBytes)
	out = append(out, versionsMark...)
	for _, key := range keys {
		out = append(out, key[:]...)
		out = binary.BigEndian.AppendUint64(out, uint64(v.shown[key]))
	}
	return out, nil
}

// UnmarshalBinary reads the stored form.
func (v *Versions) UnmarshalBinary(text []byte) error {
	rest, ok := bytes.CutPrefix(text, versionsMark)
	if !ok || len(rest)%versionBytes != 0 {
		return errVersions
	}
	v.shown = make(map[Version]int64, len(rest)/versionBytes)
	for ; len(rest) > 0; rest = rest[versionBytes:] {
		v.shown[Version(rest[:len(Version{})])] = int64(binary.BigEndian.Uint64(rest[len(Version{}):versionBytes])) // as it was written
	}
	return nil
}

// ListQuery asks a list for its rows.
type ListQuery struct {
	Table Table
	// From is where the read begins, by the watermark column; zero: everything.
	From time.Time
	// To is where it ends, in whole seconds, exclusive; zero: nowhere.
	To time.Time
	// Known are versions that were copied before and are left out; nil: none.
	Known *Versions
	// Reads is how often the list is read, one after the other: what any of them shows is
	// taken, once. Pages shift while they are read, so that one read alone may miss rows.
	Reads int
}

// ListAnswer is what a list has shown; with an error, what it had shown by then.
type ListAnswer struct {
	Received
	Pages int       // of all reads
	Now   time.Time // the service's clock before the first page; zero: not told
	// Shown are all versions shown, known or not.
	Shown *Versions
}
