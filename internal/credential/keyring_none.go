//go:build darwin && !cgo

package credential

import (
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// openCache has no keyring: that of macOS is reached through cgo alone.
func openCache(string) (azidentity.Cache, error) {
	return azidentity.Cache{}, errors.New("this build reaches no keyring")
}
