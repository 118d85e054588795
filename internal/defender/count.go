package defender

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// Count answers a planning query in one call: a window's rows by time bins, or
// a snapshot's by ranges of hash buckets. A snapshot whose newest arrival cannot be
// asked for is counted without, by a second call the first time.
func (c *Client) Count(ctx context.Context, call plan.Caller, q plan.CountQuery) (plan.Counts, error) {
	if q.Table.Load != plan.Snapshot {
		return counted(ctx, c, call, question{table: q.Table, text: countWindowQuery(q)}, func(rows []record) (plan.Counts, error) {
			return windowCounts(rows, q.Window)
		})
	}
	_, without := c.withoutArrival.Load(q.Table.Source)
	counts, err := counted(ctx, c, call, question{table: q.Table, text: countSnapshotQuery(q.Table, !without)}, snapshotCounts)
	if err != nil && !without && fault.KindOf(err) == fault.Permanent && strings.Contains(err.Error(), "ingestion_time") {
		c.withoutArrival.Store(q.Table.Source, true)
		return c.Count(ctx, call, q)
	}
	return counts, err
}

// CountBuckets counts the rows of disjoint parts in one call, each by ranges of
// width neighbouring hash buckets, a power of two; plan.Buckets counts a part
// whole. Result i belongs to parts[i], ordered by Lo; ranges without rows are
// absent. A part of which the answer says nothing is nil, one that it counts as
// empty is not: counted whole, every part has a line in a sound answer.
func (c *Client) CountBuckets(ctx context.Context, call plan.Caller, t plan.Table, parts []plan.Slice, width int) ([][]plan.BucketCount, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	return counted(ctx, c, call, question{table: t, text: bucketsQuery(t, parts, width), parts: len(parts)}, func(rows []record) ([][]plan.BucketCount, error) {
		return bucketCounts(rows, parts, width)
	})
}

// counted asks a counting query and reads its answer. One that is cut counts
// too finely for the service and is Split; one that cannot be read is
// Unavailable.
func counted[T any](ctx context.Context, c *Client, call plan.Caller, q question, read func([]record) (T, error)) (out T, err error) {
	err = c.do(ctx, call, func(ctx context.Context) error {
		var rows bytes.Buffer
		res, err := c.ask(ctx, q, &rows, rowpath.Options{Plain: true, MaxRows: plan.MaxRows})
		if err != nil {
			return err
		}
		if res.Capped {
			return c.named(fault.As(fault.Split, errCapped))
		}
		all, err := parseRecords(rows.Bytes())
		if err == nil {
			out, err = read(all)
		}
		if err != nil {
			return c.named(fault.As(fault.Unavailable, fmt.Errorf("the counts cannot be read: %w", err)))
		}
		return nil
	})
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

// clock takes the one row that carries the service's clock out of the rows.
func clock(rows []record) (record, []record, error) {
	i := slices.IndexFunc(rows, func(r record) bool { return r.text("Kind") == "clock" })
	if i < 0 {
		return nil, nil, errors.New("the row with the service's clock is missing")
	}
	now := rows[i]
	return now, slices.Delete(rows, i, i+1), nil
}

func windowCounts(rows []record, w plan.Window) (plan.Counts, error) {
	now, rows, err := clock(rows)
	if err != nil {
		return plan.Counts{}, err
	}
	var c plan.Counts
	var errs [2]error
	c.Now, errs[0] = now.instant("Now")
	c.To, errs[1] = now.instant("To")
	if err := errors.Join(errs[:]...); err != nil {
		return plan.Counts{}, err
	}
	if c.Now.IsZero() || c.To.IsZero() {
		return plan.Counts{}, errors.New("the service's clock is null")
	}
	bins := map[time.Time]int64{}
	for _, r := range rows {
		n, err := r.count("Rows")
		if err != nil {
			return plan.Counts{}, err
		}
		switch kind := r.text("Kind"); kind {
		case "null":
			c.Nulls += n
		case "later":
			c.Later += n
		case "window":
			start, err := r.instant("Bin")
			if err != nil {
				return plan.Counts{}, err
			}
			// Only rows on the first tick there is have no bin; they belong to the first.
			if start.IsZero() && !w.From.IsZero() {
				return plan.Counts{}, errors.New("Bin: want an instant, got null")
			}
			bins[start] += n
		default:
			return plan.Counts{}, fmt.Errorf("Kind: want null, later or window, got %q", clip(kind, 40))
		}
	}
	for start, n := range bins {
		c.Bins = append(c.Bins, plan.Bin{Start: start, Rows: n})
	}
	slices.SortFunc(c.Bins, func(a, b plan.Bin) int { return a.Start.Compare(b.Start) })
	return c, nil
}

func snapshotCounts(rows []record) (plan.Counts, error) {
	now, rows, err := clock(rows)
	if err != nil {
		return plan.Counts{}, err
	}
	var c plan.Counts
	if c.Now, err = now.instant("Now"); err != nil {
		return plan.Counts{}, err
	}
	if c.Now.IsZero() {
		return plan.Counts{}, errors.New("the service's clock is null")
	}
	whole := plan.Slice{Part: plan.PartAll, Hi: plan.Buckets}
	sums := map[int]string{}
	for _, r := range rows {
		b, err := bucketCount(r, whole, snapshotRange)
		if err != nil {
			return plan.Counts{}, err
		}
		newest, err := r.instant("Newest")
		if err != nil {
			return plan.Counts{}, err
		}
		if newest.After(c.Newest) {
			c.Newest = newest
		}
		c.Buckets = append(c.Buckets, b)
		sums[b.Lo] += " " + r.text("Checksum")
	}
	slices.SortFunc(c.Buckets, byRange)
	c.Checksum = checksum(c.Buckets, sums)
	return c, nil
}

// checksum puts the checksums of a snapshot's ranges, which are ordered, into one
// short text; "" where one is missing.
func checksum(ranges []plan.BucketCount, sums map[int]string) string {
	h := fnv.New64a()
	for _, b := range ranges {
		if strings.TrimSpace(sums[b.Lo]) == "" {
			return ""
		}
		_, _ = fmt.Fprintf(h, "%d:%s;", b.Lo, sums[b.Lo]) // a hash takes everything
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// bucketCounts reads the lines of a count of parts.
func bucketCounts(rows []record, parts []plan.Slice, width int) ([][]plan.BucketCount, error) {
	out := make([][]plan.BucketCount, len(parts))
	for _, r := range rows {
		i, ok, err := r.number("Part")
		if err != nil {
			return nil, err
		}
		if !ok || i < 0 || i >= int64(len(parts)) {
			return nil, fmt.Errorf("Part: want 0 to %d, got %q", len(parts)-1, clip(r.text("Part"), 40))
		}
		b, err := bucketCount(r, parts[i], width)
		if err != nil {
			return nil, err
		}
		if out[i] == nil {
			out[i] = []plan.BucketCount{} // spoken of, if only as empty
		}
		if b.Rows > 0 {
			out[i] = append(out[i], b)
		}
	}
	for i := range out {
		slices.SortFunc(out[i], byRange)
	}
	return out, nil
}

// bucketCount reads a row that counts one range of buckets of a part. A range
// that sticks out of the part holds none but the part's rows.
func bucketCount(r record, part plan.Slice, width int) (plan.BucketCount, error) {
	n, err := r.count("Rows")
	if err != nil {
		return plan.BucketCount{}, err
	}
	at, ok, err := r.number("Bucket")
	if err != nil {
		return plan.BucketCount{}, err
	}
	if !ok || at < 0 || at >= plan.Buckets {
		return plan.BucketCount{}, fmt.Errorf("Bucket: want 0 to %d, got %q", plan.Buckets-1, clip(r.text("Bucket"), 40))
	}
	lo := max(int(at)*width, part.Lo)
	hi := min(int(at)*width+width, part.Hi)
	if lo >= hi {
		return plan.BucketCount{}, fmt.Errorf("Bucket: %d lies outside of the part [%d, %d)", at, part.Lo, part.Hi)
	}
	return plan.BucketCount{Lo: lo, Hi: hi, Rows: n, Checksum: r.text("Checksum")}, nil
}

func byRange(a, b plan.BucketCount) int { return cmp.Compare(a.Lo, b.Lo) }
