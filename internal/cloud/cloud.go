// Package cloud is the table of the clouds that Defender runs in: where each signs
// in, where its APIs are, and which audience their tokens are for. It does no I/O.
package cloud

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Cloud is one of them. Tenants, tokens and quota belong to a Name; a Region only
// moves the calls to Defender for Endpoint nearer.
type Cloud struct {
	Name   string // one of the constants
	Region string // us, eu, uk, au, swa, ina or aea, in Global only; "": none
}

// The clouds, as states and quotas are named by them.
const (
	Global  = "global"
	GCC     = "gcc"
	GCCHigh = "gcchigh"
	DoD     = "dod"
)

// Endpoint is where an API is.
type Endpoint struct {
	BaseURL string // without a path
	Scope   string // what its token is asked for
}

// row is one cloud's line of the table.
type row struct {
	authority string
	graph     string
	mde       string
	audience  string // of tokens for mde
	exchange  string // audience of an assertion that is exchanged for a token
}

const (
	publicEntra = "https://login.microsoftonline.com/"
	usEntra     = "https://login.microsoftonline.us/"

	exchange   = "api://AzureADTokenExchange"
	usExchange = "api://AzureADTokenExchangeUSGov"

	globalMDE = "https://api.security.microsoft.com"
	gccMDE    = "https://api-gcc.securitycenter.microsoft.us"
	govMDE    = "https://api-gov.securitycenter.microsoft.us"
	// mdeAudience is the old host of the global API: some of its calls answer 403 to a
	// token for any other, whatever host they go to. Source: Defender for Endpoint,
	// API hello world.
	mdeAudience = "https://api.securitycenter.microsoft.com"
)

// table has a line a cloud. Sources: Microsoft Graph, national cloud deployments;
// Defender for Endpoint for US government customers; workload identity federation,
// audiences by cloud. GCC lives in the public Entra ID and Graph.
var table = map[string]row{
	Global:  {publicEntra, "https://graph.microsoft.com", globalMDE, mdeAudience, exchange},
	GCC:     {publicEntra, "https://graph.microsoft.com", gccMDE, gccMDE, exchange},
	GCCHigh: {usEntra, "https://graph.microsoft.us", govMDE, govMDE, usExchange},
	DoD:     {usEntra, "https://dod-graph.microsoft.us", govMDE, govMDE, usExchange},
}

// regions are the places that the global Defender for Endpoint API has hosts in.
var regions = []string{"us", "eu", "uk", "au", "swa", "ina", "aea"}

// names are other spellings: those of the Azure CLI, of Azure's SDKs and of MSTICPy.
// The Azure cloud of the US government is that of GCC High; DoD has a Graph of its own
// and must be named.
var names = map[string]string{
	"": Global, "public": Global, "com": Global, "worldwide": Global, "azurecloud": Global, "azurepublic": Global, "azurepubliccloud": Global,
	"gccmoderate": GCC, "gccm": GCC,
	"gcch": GCCHigh, "l4": GCCHigh, "usgov": GCCHigh, "usgovernment": GCCHigh, "azureusgovernment": GCCHigh, "azuregovernment": GCCHigh, "fairfax": GCCHigh,
	"l5": DoD, "usdod": DoD,
}

var (
	errChina   = errors.New("hunting is not offered in China (21Vianet): Microsoft Graph there has no runHuntingQuery and Defender for Endpoint has no API; there is nothing to copy from")
	errGermany = errors.New("Microsoft Cloud Germany was closed in October 2021; its tenants are in global now")
)

// refused are clouds that exist or did, with the reason why they cannot be copied from.
var refused = map[string]error{
	"cn": errChina, "china": errChina, "21vianet": errChina, "mooncake": errChina, "azurechina": errChina, "azurechinacloud": errChina,
	"de": errGermany, "germany": errGermany, "azuregermany": errGermany, "azuregermancloud": errGermany,
}

// ErrUnknown is the error for a text that is no cloud; it does not quote the text.
var ErrUnknown = fmt.Errorf("want global, a region of it (%s), gcc, gcc-high or dod", strings.Join(regions, ", "))

// Parse reads a cloud or a region of the global one, in any letter case, with or
// without hyphens; "" is Global.
func Parse(text string) (Cloud, error) {
	name := strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(text))
	if other, ok := names[name]; ok {
		name = other
	}
	if _, ok := table[name]; ok {
		return Cloud{Name: name}, nil
	}
	if slices.Contains(regions, name) {
		return Cloud{Name: Global, Region: name}, nil
	}
	if reason, ok := refused[name]; ok {
		return Cloud{}, reason
	}
	return Cloud{}, ErrUnknown
}

// Authority is the Entra ID endpoint, a URL.
func (c Cloud) Authority() string { return table[c.Name].authority }

// Graph is Microsoft Graph, which has no regions.
func (c Cloud) Graph() Endpoint { return endpoint(table[c.Name].graph, table[c.Name].graph) }

// MDE is the API of Defender for Endpoint.
func (c Cloud) MDE() Endpoint {
	base := table[c.Name].mde
	if c.Region != "" {
		base = strings.Replace(base, "https://", "https://"+c.Region+".", 1)
	}
	return endpoint(base, table[c.Name].audience)
}

func endpoint(base, audience string) Endpoint { return Endpoint{base, audience + "/.default"} }

// ExchangeScope is what a managed identity is asked for, to be exchanged for a token of
// an application that trusts it.
func (c Cloud) ExchangeScope() string { return table[c.Name].exchange + "/.default" }
