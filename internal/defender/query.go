package defender

import (
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/internal/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// snapshotRange is how many neighbouring buckets a snapshot is counted by: 256
// ranges, few enough for a small answer, fine enough to pack slices from.
const snapshotRange = plan.Buckets / 256

// hashFunction divides rows by their key, in every query of a run: in the counts,
// in the parts that are fetched and in a snapshot's checksum. Kusto promises its
// result only within one query: the checksum tells a snapshot that another one came,
// and it is planned again; of a window's parts ADX tells which hold a row that another
// does, and those are read again. Source: Kusto, hash().
const hashFunction = "hash"

// checksumModulus keeps the hash of a key within a positive int, so that the sum
// over four billion rows fits a long.
const checksumModulus = 1<<31 - 1

// watermark is the expression of a table's watermark. A column that holds its
// time as text is converted.
func watermark(t plan.Table) string { return instant(t, t.WatermarkColumn) }

// instant is the expression of a column as an instant; "" is the arrival.
func instant(t plan.Table, column string) string {
	if column == "" {
		return "ingestion_time()"
	}
	known, _ := schema.Lookup(t.Source)
	if c, ok := known.Column(column); ok && c.Type == "string" {
		return "todatetime(" + kql.Name(column) + ")"
	}
	return kql.Name(column)
}

// savedRows is the name under which a saved query's rows stand in a query of ours.
const savedRows = "d2a_query"

// prologue begins every query of ours: the statements of a saved query, whose rows then
// have a name like a table's. Its result is evaluated wherever the name stands, so that
// a part of a count reads only what belongs to it.
func prologue(t plan.Table) string {
	if t.Query.Result == "" {
		return ""
	}
	return t.Query.Lets + "let " + savedRows + " = (" + t.Query.Result + ");\n"
}

// source is the table without the rows that a run leaves out.
func source(t plan.Table) string {
	var b strings.Builder
	if t.Query.Result != "" {
		b.WriteString(savedRows)
	} else {
		b.WriteString(kql.Name(t.Source))
	}
	for _, f := range t.Filters {
		at := instant(t, f.Column)
		b.WriteString(" | where " + at + " > " + kql.Datetime(f.After))
		if f.OrNull {
			b.WriteString(" or isnull(" + at + ")")
		}
		if !f.OrArrivedPast.IsZero() {
			b.WriteString(" or ingestion_time() > " + kql.Datetime(f.OrArrivedPast))
		}
	}
	return b.String()
}

// bucket is the expression of a row's hash bucket, 0 to plan.Buckets-1. Only its
// stability between two queries of one run counts; where the key is not unique
// the rows of a key share a bucket, which is no harm.
func bucket(t plan.Table) string { return hashed(t, plan.Buckets) }

// hashed is the hash of a row's key, from 0 to below modulus; without a key, of the
// whole row. A key column that the tenant lacks counts as empty.
func hashed(t plan.Table, modulus int) string {
	var b strings.Builder
	b.WriteString(hashFunction + "(")
	if columns := t.Key(); len(columns) > 0 {
		b.WriteString("strcat(")
		for i, column := range columns {
			if i > 0 {
				b.WriteString(", '|', ")
			}
			b.WriteString("tostring(column_ifexists(" + kql.String(column) + ", ''))")
		}
		b.WriteString(")")
	} else {
		b.WriteString("tostring(pack_all())")
	}
	b.WriteString(", " + strconv.Itoa(modulus) + ")")
	return b.String()
}

// countWindowQuery counts a window's rows by bins of (Start, Start+bin], beside
// them those without a watermark and those after the window, and asks for the
// service's clock. The window ends settle before that clock if that is earlier.
func countWindowQuery(q plan.CountQuery) string {
	at := watermark(q.Table)
	var b strings.Builder
	b.WriteString(prologue(q.Table))
	if !q.Window.From.IsZero() {
		b.WriteString("let d2a_from = " + kql.Datetime(q.Window.From) + ";\n")
	}
	b.WriteString("let d2a_to = min_of(" + kql.Datetime(q.Window.To) + ", now() - " + kql.Seconds(q.Settle) + ");\n" +
		"print Kind = 'clock', Bin = datetime(null), Rows = long(0), Now = now(), To = d2a_to\n" +
		"| union (" + source(q.Table))
	if !q.Window.From.IsZero() {
		b.WriteString(" | where isnull(" + at + ") or " + at + " > d2a_from")
	}
	b.WriteString(" | summarize Rows = count() by Kind = case(isnull(" + at + "), 'null', " + at + " > d2a_to, 'later', 'window')," +
		" Bin = iff(" + at + " > d2a_to, datetime(null), bin(" + at + " - 1tick, " + kql.Seconds(q.Bin) + ")))")
	return b.String()
}

// countSnapshotQuery counts all rows by ranges of buckets, each with a checksum of
// its keys, and asks for the service's clock and, where it can be had, the newest
// arrival. The checksum sees a row replaced by one of another key; without a key in
// the catalogue, any change.
func countSnapshotQuery(t plan.Table, arrival bool) string {
	text := prologue(t) + "print Kind = 'clock', Bucket = long(null), Rows = long(0), Now = now(), Newest = datetime(null), Checksum = ''\n" +
		"| union (" + source(t) + " | summarize Rows = count(), "
	if arrival {
		text += "Newest = max(ingestion_time()), "
	}
	return text + keySum(t) + " by Bucket = " + bucket(t) + " / " + strconv.Itoa(snapshotRange) + ")"
}

// keySum is the column in which a snapshot's counts carry the checksum of the keys of
// what they count. It is a sum: those of parts add up to that of the whole.
func keySum(t plan.Table) string {
	return "Checksum = tostring(sum(" + hashed(t, checksumModulus) + "))"
}

// bucketsQuery counts each part by ranges of width buckets, a snapshot's with the
// checksum of their keys. A branch of the union reads only its own part's time range.
func bucketsQuery(t plan.Table, parts []plan.Slice, width int) string {
	var b strings.Builder
	b.WriteString(prologue(t))
	for i, s := range parts {
		switch {
		case i == 1:
			b.WriteString("\n| union ")
		case i > 1:
			b.WriteString(",\n    ")
		}
		if i > 0 {
			b.WriteString("(")
		}
		b.WriteString(selection(t, s) + " | summarize Rows = count()")
		if t.Load == plan.Snapshot {
			b.WriteString(", " + keySum(t))
		}
		if width < plan.Buckets {
			b.WriteString(" by Bucket = " + bucket(t) + " / " + strconv.Itoa(width))
		} else {
			b.WriteString(" | extend Bucket = long(0)")
		}
		b.WriteString(" | extend Part = " + kql.Long(int64(i)))
		if i > 0 {
			b.WriteString(")")
		}
	}
	return b.String()
}

// fetchQuery reads a slice: no order and no projection, which cost the service
// and gain nothing.
func fetchQuery(t plan.Table, s plan.Slice) string { return prologue(t) + selection(t, s) }

// selection is the table filtered to a slice.
func selection(t plan.Table, s plan.Slice) string {
	at := watermark(t)
	text := source(t)
	switch s.Part {
	case plan.PartWindow:
		text += " | where "
		if !s.Window.From.IsZero() {
			text += at + " > " + kql.Datetime(s.Window.From) + " and "
		}
		text += at + " <= " + kql.Datetime(s.Window.To)
	case plan.PartNull:
		text += " | where isnull(" + at + ")"
	case plan.PartAll:
	}
	if s.Hashed() {
		text += " | where " + bucket(t) + " between (" + strconv.Itoa(s.Lo) + " .. " + strconv.Itoa(s.Hi-1) + ")"
	}
	return text
}
