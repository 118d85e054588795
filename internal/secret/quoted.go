package secret

import (
	"regexp"
	"strconv"
)

var (
	// plainWord is a word that a person may have meant.
	plainWord = regexp.MustCompile(`^[A-Za-z-]{1,24}$`)
	// plainNumber is a number, a duration or a clock, too short for a key.
	plainNumber = regexp.MustCompile(`^[+-]?\d[\d.:]{0,11}[A-Za-z]{0,2}$`)
)

// Quoted is a text that a person gave, as an error may show it: whatever is pasted into
// the wrong setting may be a secret, so that a text is shown only where it surely is
// none. What a setting holds is quoted by nothing else.
func Quoted(text string) string {
	if !plainWord.MatchString(text) && !plainNumber.MatchString(text) {
		return "something else"
	}
	return strconv.Quote(text)
}
