package answer

import (
	"bytes"
	"regexp"
	"strings"
)

// redacted stands where a secret stood.
const redacted = "[redacted]"

// What a foreign text may hold that nobody must read: an error body can repeat the
// request it is about, headers and form included.
var secrets = []struct {
	form *regexp.Regexp
	to   string
}{
	// The query of every URL, which may be a signature.
	{regexp.MustCompile(`(?i)(https?://[^\s?"'<>\\]+)\?[^\s"'<>\\]+`), "$1?" + redacted},
	// Authorization headers, whatever their scheme, and a scheme with a token on its own.
	{regexp.MustCompile(`(?i)\b((?:proxy-)?authorization\\?["']?\s*[:=]\s*["']?)(?:(?:bearer|basic|sharedkey(?:lite)?|negotiate|pop)\s+)?[^\s"'<>,;]+`), "$1" + redacted},
	{regexp.MustCompile(`(?i)\b(bearer|basic|sharedkey(?:lite)?)((?:\s|\+|%20)+)[0-9a-z._~+/:=-]{6,}`), "$1$2" + redacted},
	// A JSON web token anywhere, with or without its signature.
	{regexp.MustCompile(`\beyJ[0-9A-Za-z_-]{5,}\.[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]*)*`), redacted},
	// Members, parameters and parts of connection strings that are secret by their name.
	{regexp.MustCompile(`(?i)\b((?:client_|shared_?|access_?|refresh_?|id_?|account_?|api_?|x-functions-)*(?:secret|assertion|password|pwd|token|key|signature|accesskey|accountkey|sharedaccesssignature|sig))(\\?["']?\s*(?:=|:|%3d)\s*\\?["']?)[^\s"'<>&;,\\]+`), "$1$2" + redacted},
}

// Redact removes from a text that a service sent whatever may be a secret: tokens,
// signatures, keys, passwords, and the query of every URL.
func Redact(text string) string {
	for _, s := range secrets {
		text = s.form.ReplaceAllString(text, s.to)
	}
	return text
}

// Quote makes a service's text fit for an error or an audit row: redacted, one line,
// at most limit bytes and an ellipsis.
func Quote(text string, limit int) string {
	text = strings.Join(strings.FieldsFunc(Redact(text), breaks), " ")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// breaks reports a character that ends a line somewhere, or a blank.
func breaks(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029'
}

// byteOrderMark may stand before the JSON of an answer or an error, where it has
// no business. Source: public reports about several of Microsoft's APIs.
const byteOrderMark = "\ufeff"

// TrimMark returns body without a byte order mark in front.
func TrimMark(body []byte) []byte {
	return bytes.TrimPrefix(body, []byte(byteOrderMark))
}
