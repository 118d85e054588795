package config

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/internal/ncrontab"
)

var (
	// plainWord is a word that a person may have meant.
	plainWord = regexp.MustCompile(`^[A-Za-z-]{1,24}$`)
	// plainNumber is a number, a duration or a clock, too short for a key.
	plainNumber = regexp.MustCompile(`^[+-]?\d[\d.:]{0,11}[A-Za-z]{0,2}$`)
	// plainField is a field of a schedule: no letters but names of months and days.
	plainField = regexp.MustCompile(`^([\d*/,?#-]|[A-Za-z]{1,9}([,/-]|$))+$`)
)

// quoted is the value of a setting as an error may show it: whatever a person pastes
// into the wrong setting may be a secret, so that a value is shown only where it surely
// is none. No other place of this package quotes one.
func quoted(v string) string {
	if !plainWord.MatchString(v) && !plainNumber.MatchString(v) {
		return "something else"
	}
	return strconv.Quote(v)
}

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
