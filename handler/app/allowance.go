package app

import (
	"time"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/quota"
)

// Allowance is what a tenant's quota gives to the program over any longer time, its
// free share left to people.
type Allowance struct {
	calls  int // a window
	window time.Duration
	hourly int // an hour; 0: no such limit
	hour   time.Duration
}

// NewAllowance reads the settings of an instance.
func NewAllowance(d config.Defender) Allowance {
	a := Allowance{calls: quota.Spent(d.CallsPerMinute, d.FreeShare), window: d.QuotaMinute, hour: d.QuotaHour}
	if d.CallsPerHour > 0 {
		a.hourly = quota.Spent(d.CallsPerHour, d.FreeShare)
	}
	return a
}

// Takes returns how long so many calls take at the least, where nothing else asks.
func (a Allowance) Takes(calls int) time.Duration {
	took := time.Duration(float64(a.window) * float64(calls) / float64(max(1, a.calls)))
	if a.hourly > 0 && calls > a.hourly {
		took = max(took, time.Duration(float64(a.hour)*float64(calls)/float64(a.hourly)))
	}
	return took
}

// Day returns how many calls a day gives.
func (a Allowance) Day() int64 {
	day := int64(float64(a.calls) * float64(24*time.Hour) / float64(a.window))
	if a.hourly > 0 {
		day = min(day, int64(float64(a.hourly)*float64(24*time.Hour)/float64(a.hour)))
	}
	return day
}
