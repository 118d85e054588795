package secret

import (
	"encoding/base64"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Ref is a secret value, or where it lies. At most one field is set.
type Ref struct {
	Value String // itself
	Name  string // of a secret in the Key Vault that the settings name
	File  string // path
}

// IsZero tells whether it names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// vaultName is what Key Vault allows. Source: Key Vault documentation, object names.
var vaultName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

// IsVaultName tells whether Key Vault allows a secret of this name.
func IsVaultName(name string) bool { return vaultName.MatchString(name) }

const (
	inVault    = "keyvault:"
	unresolved = "@microsoft.keyvault("
)

// ParseRef reads a setting that holds a secret: the value itself, or KeyVault:<name>.
// The platform replaces @Microsoft.KeyVault(...) before we read it; where it could not,
// the error says so. No error quotes a value.
func ParseRef(text string) (Ref, error) {
	low := strings.ToLower(text)
	switch {
	case strings.HasPrefix(low, unresolved):
		return Ref{}, errors.New("the platform has not resolved this @Microsoft.KeyVault reference: see its status under the app's environment variables, give the app's identity the role Key Vault Secrets User and name that identity in keyVaultReferenceIdentity; or write KeyVault:<name> and let the app read KEY_VAULT_URL itself")
	case strings.HasPrefix(low, inVault):
		name := strings.TrimSpace(text[len(inVault):])
		if !IsVaultName(name) {
			return Ref{}, errors.New("want KeyVault:<name> with 1 to 127 letters, digits and hyphens")
		}
		return Ref{Name: name}, nil
	}
	return Ref{Value: New(text)}, nil
}

// ParseFileRef reads a setting that holds a certificate or a key: PEM or a PFX in base64
// as a resolved reference gives them, KeyVault:<name>, or else the path of a file.
func ParseFileRef(text string) (Ref, error) {
	ref, err := ParseRef(text)
	switch {
	case err != nil || ref.Name != "" || IsPEM(text) || isBase64(text):
		return ref, err
	case !IsPath(text):
		return Ref{}, errors.New("want PEM, a PFX in base64, KeyVault:<name>, or the path of a file, from the root or with one of the endings " + strings.Join(endings, ", ") + "; if it is a certificate or a key, a part of it is missing or too much")
	}
	return Ref{File: text}, nil
}

// endings are those of files with a certificate or a key.
var endings = []string{".pem", ".pfx", ".p12", ".key", ".crt", ".cer", ".txt"}

// IsPath tells whether text may be the path of a file and is surely no certificate or
// key, whole or damaged, nor a client secret: it may be named in errors. No base64 has a
// dot, none of a certificate or a key begins with a slash, and a client secret that ends
// like a file is not to be expected.
func IsPath(text string) bool {
	return len(text) < leastPFX && !IsPEM(text) && (slices.Contains(endings, strings.ToLower(filepath.Ext(text))) || filepath.IsAbs(text))
}

// IsPEM tells whether text is in the form of PEM, which begins its blocks so.
func IsPEM(text string) bool { return strings.Contains(text, "-----BEGIN ") }

// leastPFX is fewer characters than any certificate with its key has in base64, and more
// than a path has.
const leastPFX = 512

func isBase64(text string) bool {
	if len(text) < leastPFX {
		return false
	}
	_, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	return err == nil
}
