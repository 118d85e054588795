package kusto

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// tokenKey signs identity tokens: what .get kusto identity token hands out, and
// what every ingestion message carries to say who sent it.
type tokenKey [32]byte

func newTokenKey() tokenKey {
	var k tokenKey
	_, _ = rand.Read(k[:])
	return k
}

func (k tokenKey) sign(principal string) string {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte(principal))
	return base64.RawURLEncoding.EncodeToString([]byte(principal)) + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// principal gives who the token was issued to; empty for a token of another
// cluster or none.
func (k tokenKey) principal(token string) string {
	encoded, _, _ := strings.Cut(token, ".")
	principal, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || !hmac.Equal([]byte(k.sign(string(principal))), []byte(token)) {
		return ""
	}
	return string(principal)
}
