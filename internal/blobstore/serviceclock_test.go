package blobstore

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// TestServiceClock_TwoProcessesAgree lets two local clocks that are off by
// anything learn from one service, whose header has whole seconds.
func TestServiceClock_TwoProcessesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		service := epoch.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "start")))
		var clocks [2]*ServiceClock
		var local [2]time.Time
		for i := range clocks {
			off := time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(t, "offset"))
			local[i] = service.Add(off)
			clocks[i] = NewServiceClock(func() time.Time { return local[i] })
		}
		const slowest = 300 * time.Millisecond
		pass := func(d time.Duration) {
			service = service.Add(d)
			for i := range local {
				local[i] = local[i].Add(d)
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "answers") {
			pass(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "pause")))
			for i, c := range clocks {
				sent := local[i]
				pass(time.Duration(rapid.Int64Range(0, int64(slowest)/2).Draw(t, "way there")))
				date := service.Truncate(time.Second)
				pass(time.Duration(rapid.Int64Range(0, int64(slowest)/2).Draw(t, "way back")))
				c.learn(sent, local[i], date)
			}
			for _, c := range clocks {
				now, known := c.Now()
				// Half a second and half a round trip; drift is allowed for, though there is none.
				if off := now.Sub(service).Abs(); !known || off > 500*time.Millisecond+slowest/2+100*time.Millisecond {
					t.Fatalf("known %v, off by %v", known, off)
				}
			}
		}
	})
}

func TestServiceClock_NarrowsWithAnswers(t *testing.T) {
	local := epoch
	c := NewServiceClock(func() time.Time { return local })
	for range 40 { // the service is 90 s ahead; its seconds are met at all phases
		c.learn(local, local.Add(10*time.Millisecond), local.Add(90*time.Second).Truncate(time.Second))
		local = local.Add(1025 * time.Millisecond)
	}
	now, _ := c.Now()
	if off := now.Sub(local.Add(90 * time.Second)).Abs(); off > 50*time.Millisecond {
		t.Errorf("off by %v after 40 answers", off)
	}
}

func TestServiceClock_AnswerThatContradictsCountsAlone(t *testing.T) {
	local := epoch
	c := NewServiceClock(func() time.Time { return local })
	c.learn(local, local, local)
	local = local.Add(time.Minute)
	c.learn(local, local, local.Add(time.Hour)) // a clock was set by an hour
	if now, known := c.Now(); !known || now.Sub(local.Add(time.Hour)).Abs() > time.Second {
		t.Errorf("Now() = %v, %v; want an hour after %v", now, known, local)
	}
}

func TestServiceClock_LocalJumpIsForgotten(t *testing.T) {
	local, mono := epoch, time.Duration(0)
	c := NewServiceClock(func() time.Time { return local })
	last := mono
	c.elapsed = func(_, _ time.Time) time.Duration { return mono - last }
	if _, known := c.Now(); known {
		t.Error("known before the first answer")
	}
	c.learn(local, local, local)
	local, mono = local.Add(time.Second), mono+time.Second
	if _, known := c.Now(); !known {
		t.Error("forgotten though both clocks agree")
	}
	local = local.Add(time.Hour)
	if _, known := c.Now(); known {
		t.Error("still known after the wall clock was set")
	}
	last = mono
	c.learn(local, local, epoch)
	if now, known := c.Now(); !known || now.Sub(epoch).Abs() > time.Second {
		t.Errorf("Now() = %v, %v after another answer; want %v", now, known, epoch)
	}
}
