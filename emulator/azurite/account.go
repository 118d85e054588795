package azurite

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"github.com/defender2adx/defender2adx/internal/address"
)

// Account is a storage account's name and its shared key.
type Account struct {
	Name string // 3 to 24 lower-case letters and digits
	Key  string // standard base64
}

// DevelopmentAccount is the account that every Azurite and every SDK knows.
func DevelopmentAccount() Account {
	return Account{Name: address.DevelopmentAccount, Key: address.DevelopmentKey}
}

// RandomAccount makes up an account, so that a client that reaches the wrong
// Azurite is refused instead of mixing data.
func RandomAccount() Account {
	var key [64]byte // the size of a real account key
	_, _ = rand.Read(key[:])
	return Account{
		Name: "acct" + strings.ToLower(rand.Text())[:16],
		Key:  base64.StdEncoding.EncodeToString(key[:]),
	}
}

// String omits the key.
func (a Account) String() string { return a.Name + " (key redacted)" }

// GoString omits the key.
func (a Account) GoString() string { return a.String() }

var accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

func (a Account) validate() error {
	if !accountName.MatchString(a.Name) {
		return fmt.Errorf("storage account %q: want 3 to 24 lower-case letters and digits", a.Name)
	}
	if key, err := base64.StdEncoding.DecodeString(a.Key); err != nil || len(key) == 0 {
		return fmt.Errorf("storage account %s: key is not base64", a.Name)
	}
	return nil
}

// connectionString joins the account with the endpoints that at gives.
func (a Account) connectionString(at func(Service) string) string {
	protocol, _, _ := strings.Cut(at(Blob), ":")
	return strings.Join([]string{
		"DefaultEndpointsProtocol=" + protocol,
		"AccountName=" + a.Name,
		"AccountKey=" + a.Key,
		"BlobEndpoint=" + at(Blob),
		"QueueEndpoint=" + at(Queue),
		"TableEndpoint=" + at(Table),
	}, ";") + ";"
}
