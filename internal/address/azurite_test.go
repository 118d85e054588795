package address_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/address"
)

func TestExpandStorage_WritesOutTheShortFormOnly(t *testing.T) {
	for _, short := range []string{"UseDevelopmentStorage=true", " usedevelopmentstorage=true; "} {
		got := address.ExpandStorage(short)
		for _, part := range []string{"AccountName=devstoreaccount1;", "AccountKey=" + address.DevelopmentKey + ";",
			"BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;", "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"} {
			if !strings.Contains(got, part) {
				t.Errorf("%q becomes %q, without %s", short, got, part)
			}
		}
	}
	for _, whole := range []string{"", "AccountName=a;AccountKey=a2V5", "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://x"} {
		if got := address.ExpandStorage(whole); got != whole {
			t.Errorf("%q becomes %q", whole, got)
		}
	}
}
