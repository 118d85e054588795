package plan

import (
	"strconv"
	"time"
)

// CountQuery asks how many rows a run would copy.
type CountQuery struct {
	Table  Table
	Window Window        // From, and the latest To by our clock; ignored for a snapshot
	Settle time.Duration // To is moved back to Defender's now minus Settle when that is earlier
	Bin    time.Duration // width of a time bin
}

// Counts is the answer to a CountQuery, taken in one hunting call.
type Counts struct {
	Now time.Time // Defender's clock at the query

	// A window's counts.
	To    time.Time // the window's end after Defender's clock was asked
	Bins  []Bin     // ordered by Start; bins without rows are absent
	Nulls int64     // rows of the whole table without a watermark
	Later int64     // rows after To, left for later runs

	// A snapshot's counts.
	Buckets []BucketCount // ordered by Lo; ranges without rows are absent
	Newest  time.Time     // newest ingestion_time(); zero when null, or when it cannot be asked for

	// Checksum stands for the keys of all rows, without a key for the rows
	// themselves: another one means that rows were replaced. "" where the source
	// gave none.
	Checksum string
}

// Bin counts the rows of (Start, Start+width].
type Bin struct {
	Start time.Time
	Rows  int64
}

// BucketCount counts the rows of the hash buckets Lo <= b < Hi.
type BucketCount struct {
	Lo, Hi int
	Rows   int64
	// Checksum is the sum of the hashes of the rows' keys, a whole number; "" where the
	// source gave none.
	Checksum string
}

// Tally returns the rows of the ranges and the checksum of their keys; "" where that of
// a range with rows is not known.
func Tally(ranges []BucketCount) (rows int64, checksum string) {
	checksum = "0"
	for _, b := range ranges {
		if b.Rows > 0 {
			rows, checksum = rows+b.Rows, addChecksums(checksum, b.Checksum)
		}
	}
	return rows, checksum
}

// addChecksums adds the checksums of disjoint rows; "" where one is not known. A sum
// beyond an int64 begins anew, as the source's does.
func addChecksums(a, b string) string {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	if errX != nil || errY != nil {
		return ""
	}
	return strconv.FormatInt(x+y, 10)
}

// Rows returns all rows of the window, or of the snapshot.
func (c Counts) Rows() (n int64) {
	for _, b := range c.Bins {
		n += b.Rows
	}
	for _, b := range c.Buckets {
		n += b.Rows
	}
	return n
}

// Received describes the rows of one answer as they were frozen.
type Received struct {
	Rows  int64 // rows written
	Bytes int64 // uncompressed bytes of the newline-delimited JSON
	Cut   int64 // rows whose longest values were cut to fit ADX's size limit, marked _truncated
	// Columns are the KQL types of the answer's columns by name; nil where it named none.
	Columns map[string]string
}

// Landed is what ADX holds of one slice.
type Landed struct {
	Rows  int64
	Nulls int64 // of these, rows whose Records is null
}

// LandedRuns is what ADX holds of runs, by RunId and slice number.
type LandedRuns map[string]map[int]Landed
