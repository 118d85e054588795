package cloud

import (
	"regexp"
	"slices"
	"strings"
)

// place is a form of hosts and the clouds that have it.
type place struct {
	host   *regexp.Regexp
	clouds []string
	closed error // nil: the clouds are those
}

func at(host string, clouds ...string) place {
	return place{host: regexp.MustCompile(`^(` + host + `)$`), clouds: clouds}
}

// places are the hosts by which a cloud is known, today's and older ones. Sources: Entra
// ID, national clouds; Microsoft Graph, national cloud deployments; Defender for
// Endpoint, supported APIs; and for US government customers; MSTICPy, cloud mappings.
var places = []place{
	at(`login\.microsoftonline\.com|login\.windows\.net|login\.microsoft\.com|sts\.windows\.net`, Global, GCC),
	at(`login\.microsoftonline\.us|login\.usgovcloudapi\.net`, GCCHigh, DoD),
	at(`graph\.microsoft\.com`, Global, GCC),
	at(`graph\.microsoft\.us`, GCCHigh),
	at(`dod-graph\.microsoft\.us`, DoD),
	at(`api-gcc\.(securitycenter|security)\.microsoft\.us`, GCC),
	at(`api-gov\.(securitycenter|security)\.microsoft\.us`, GCCHigh, DoD),
	at(`([a-z]+\.)?api(-[a-z]+)?\.(securitycenter|security)\.microsoft\.com|api(-[a-z]+)?\.securitycenter\.windows\.com`, Global),
	{regexp.MustCompile(`\.(chinacloudapi|azure|microsoftonline|microsoft|securitycenter)\.cn$`), nil, errChina},
	{regexp.MustCompile(`\.(microsoftonline|cloudapi|microsoftazure)\.de$`), nil, errGermany},
}

// OfHost returns the clouds that a host of Entra ID, Microsoft Graph or Defender for
// Endpoint is of; none where it is known of no cloud, such as a proxy's or a stand-in's.
// Of several the first is meant where nothing else is said: what the public cloud and
// GCC share is public, and DoD must be named, as with Parse. The error is for a cloud that cannot be copied from.
func OfHost(host string) ([]string, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, p := range places {
		if p.host.MatchString(host) {
			return slices.Clone(p.clouds), p.closed
		}
	}
	return nil, nil
}

// VaultSuffix is how the addresses of Key Vaults end in the Azure cloud of a tenant's.
func (c Cloud) VaultSuffix() string {
	if table[c.Name].authority == usEntra {
		return ".vault.usgovcloudapi.net"
	}
	return ".vault.azure.net"
}

// clusterAuthorities are where people sign in to a cluster by the end of its host's
// name; any other, and Fabric, is public. Source: Azure, endpoints by national cloud.
var clusterAuthorities = map[string]string{
	".kusto.usgovcloudapi.net": usEntra,
	".kusto.chinacloudapi.cn":  "https://login.chinacloudapi.cn/",
	".kusto.azure.cn":          "https://login.chinacloudapi.cn/",
}

// AuthorityOfCluster is the Entra ID endpoint of the Azure cloud that a cluster of Azure
// Data Explorer is in, a URL.
func AuthorityOfCluster(host string) string {
	for suffix, authority := range clusterAuthorities {
		if strings.HasSuffix(strings.ToLower(host), suffix) {
			return authority
		}
	}
	return publicEntra
}
