package secret

import (
	"encoding/base64"
	"strings"
	"testing"
)

// What cannot be read as a certificate may still be one: a part is missing or too much.
func TestParseFileRef_QuotesNoKeyThatIsDamaged(t *testing.T) {
	pfx := base64.StdEncoding.EncodeToString([]byte("\x30" + strings.Repeat("k3y", 700)))
	for _, tt := range []struct {
		name, text string
		path       bool
		fails      bool
	}{
		{"whole", pfx, false, false},
		{"PEM", "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", false, false},
		{"path from the root", "/mnt/keys/app", true, false},
		{"path with an ending", "keys/app.pfx", true, false},
		{"without its last characters", pfx[:len(pfx)-3], false, true},
		{"with a mark before it", `"` + pfx, false, true},
		{"the body of a key", "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg" + strings.Repeat("Ab/+", 20), false, true},
		{"a client secret", "abc8Q~uvw.x_yz-1234567890abcdefghij", false, true},
		{"a long text with dots", strings.Repeat("secret.", 100), false, true},
	} {
		ref, err := ParseFileRef(tt.text)
		if (err != nil) != tt.fails || (ref.File != "") != tt.path || IsPath(tt.text) != tt.path {
			t.Errorf("%s: file %t, %v", tt.name, ref.File != "", err)
		}
		if err != nil && strings.Contains(err.Error(), tt.text[:20]) {
			t.Errorf("%s: the error quotes it: %v", tt.name, err)
		}
	}
}
