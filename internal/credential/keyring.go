//go:build !darwin || cgo

package credential

import (
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity/cache"
)

// openCache opens the cache of that name in the machine's keyring.
func openCache(name string) (azidentity.Cache, error) { return cache.New(&cache.Options{Name: name}) }
