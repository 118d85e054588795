package config

import (
	"errors"
	"regexp"
	"strings"

	"github.com/defender2adx/defender2adx/internal/ncrontab"
)

// plainField is a field of a schedule: no letters but names of months and days.
var plainField = regexp.MustCompile(`^([\d*/,?#-]|[A-Za-z]{1,9}([,/-]|$))+$`)

// scheduleFault says what is wrong with a schedule, as long as it is one by its looks.
func scheduleFault(v string) error {
	_, err := ncrontab.Parse(v)
	if err == nil {
		return nil
	}
	fields := strings.Fields(v)
	for _, field := range fields {
		if len(field) > 24 || !plainField.MatchString(field) {
			return errors.New("want six cron fields (second minute hour day month weekday), separated by blanks, got something else")
		}
	}
	return err
}

// oddSchedule tells what is odd about a schedule that the host reads; "" where nothing is,
// or where it is none.
func oddSchedule(v string) string {
	s, err := ncrontab.Parse(v)
	if err != nil {
		return ""
	}
	return s.Warning()
}
