package address

import "strings"

// The account that every storage emulator and every SDK knows. Its key is public.
// Source: Azurite documentation, "Well-known storage account and key".
const (
	DevelopmentAccount = "devstoreaccount1"
	DevelopmentKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// developmentStorage names that account on the emulator's default ports.
const developmentStorage = "DefaultEndpointsProtocol=http;AccountName=" + DevelopmentAccount + ";AccountKey=" + DevelopmentKey +
	";BlobEndpoint=http://127.0.0.1:10000/" + DevelopmentAccount +
	";QueueEndpoint=http://127.0.0.1:10001/" + DevelopmentAccount + ";"

// ExpandStorage writes out the short form UseDevelopmentStorage=true, which the
// Functions host understands and the SDKs do not. Any other connection string stays
// as it is.
func ExpandStorage(connection string) string {
	if strings.EqualFold(strings.Trim(connection, "; "), "UseDevelopmentStorage=true") {
		return developmentStorage
	}
	return connection
}
