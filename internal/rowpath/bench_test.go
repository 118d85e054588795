package rowpath_test

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/bench/answers"
	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// BenchmarkCopy_Answers moves packed answers and reports, of the same bytes in the same
// run, how Copy compares with the floor (gunzip and gzip, nothing looked at) and
// with decoding each row by encoding/json. Run it with -cpu 1.
//
//	of-floor     throughput of Copy over that of the floor; 1 is the floor itself
//	times-plain  throughput of Copy over that of the plain way
func BenchmarkCopy_Answers(b *testing.B) {
	all, err := answers.All(8 << 20)
	if err != nil {
		b.Fatal(err)
	}
	ways := []func(io.Writer, io.Reader) error{copyAnswer, answers.Floor, answers.Plain}
	for _, answer := range all {
		b.Run(answer.Name, func(b *testing.B) {
			b.SetBytes(answer.Size)
			b.ReportAllocs()
			took := make([][]time.Duration, len(ways))
			for range b.N {
				for i, way := range ways {
					if i > 0 {
						b.StopTimer()
					}
					start := time.Now()
					if err := way(io.Discard, bytes.NewReader(answer.Packed)); err != nil {
						b.Fatal(err)
					}
					took[i] = append(took[i], time.Since(start))
				}
				b.StartTimer()
			}
			ours := median(took[0])
			b.ReportMetric(float64(median(took[1]))/float64(ours), "of-floor")
			b.ReportMetric(float64(median(took[2]))/float64(ours), "times-plain")
		})
	}
}

func copyAnswer(dst io.Writer, packed io.Reader) error {
	in, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	_, err = rowpath.Copy(dst, in, rowpath.Options{})
	return err
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
