package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/bench/answers"
	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// rowpathFigures moves answers through the row path, the floor and the plain way
// in turn, on one core, and takes the
// median of the ratios of their CPU times.
func rowpathFigures(ctx context.Context, b *Bench) error {
	all, err := answers.All(int64(b.of(16, 1)) << 20)
	if err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ways := []func(io.Writer, io.Reader) error{rowPath, answers.Floor, answers.Plain}
	for _, answer := range all {
		took := make([][]time.Duration, len(ways))
		for range b.of(21, 1) {
			for i, way := range ways {
				if err := ctx.Err(); err != nil {
					return err
				}
				runtime.GC() // nobody pays for the garbage of the one before
				before, err := cpu()
				if err != nil {
					return err
				}
				if err := way(io.Discard, bytes.NewReader(answer.Packed)); err != nil {
					return fmt.Errorf("%s answer: %w", answer.Name, err)
				}
				after, err := cpu()
				if err != nil {
					return err
				}
				took[i] = append(took[i], after-before)
			}
		}
		ours := median(took[0])
		b.figure("rowpath", answer.Name,
			"mb_s", float64(answer.Size)/1e6/ours.Seconds(),
			"of_floor", median(ratios(took[1], took[0])),
			"times_plain", median(ratios(took[2], took[0])))
	}
	return nil
}

// ratios of what was measured one after the other: the machine may be faster now
// and slower then.
func ratios(a, b []time.Duration) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i].Seconds() / b[i].Seconds()
	}
	return out
}

func rowPath(dst io.Writer, packed io.Reader) error {
	in, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	_, err = rowpath.Copy(dst, in, rowpath.Options{})
	return err
}

// cpu returns the CPU time that this process has used.
func cpu() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

func median[T time.Duration | float64](values []T) T {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}
