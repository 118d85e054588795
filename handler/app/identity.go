package app

import (
	"cmp"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/cloud"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/credential"
	"github.com/defender2adx/defender2adx/internal/defender"
)

type credentials struct {
	own, adx azcore.TokenCredential
	storage  *storageToken
}

// newCredentials makes the identities that all instances share. The vaults and
// storage are reached with the app's own.
func newCredentials(cfg config.Config, o Options) (credentials, error) {
	own := OwnIdentity(cfg)
	own.Transport, own.Say = o.transporter(), o.Say
	var out credentials
	var err error
	if out.own, err = credential.New(own); err != nil {
		return out, fmt.Errorf("ADX_CREDENTIAL: %w", err)
	}
	out.adx = out.own
	out.storage = &storageToken{TokenCredential: out.own} // a person signs in once
	if cfg.Storage.ClientID != "" {
		storage := own
		storage.ClientID = cfg.Storage.ClientID
		if out.storage.TokenCredential, err = credential.New(storage); err != nil {
			return out, fmt.Errorf("AzureWebJobsStorage: %w", err)
		}
	}
	if kind := credential.Kind(cfg.ADX.Credential); kind != own.Kind {
		if out.adx, err = applicationCredential(cfg.ADX.Application, out.own, o); err != nil {
			return out, fmt.Errorf("ADX_CREDENTIAL: %w", err)
		}
	}
	return out, nil
}

// sourceCredential is what signs in to Defender for the instance.
func sourceCredential(i config.Instance, own azcore.TokenCredential, o Options) (azcore.TokenCredential, error) {
	cred, err := applicationCredential(i, own, o)
	if err != nil {
		return nil, fmt.Errorf("DEFENDER_CREDENTIAL: %w", err)
	}
	return cred, nil
}

// applicationCredential signs in as the settings of i say, to Defender or to ADX; its
// vault is opened with own.
func applicationCredential(i config.Instance, own azcore.TokenCredential, o Options) (azcore.TokenCredential, error) {
	d, c := i.Defender, i.Defender.Credential
	authority := cmp.Or(d.Authority, place(d).Authority())
	return credential.New(credential.Config{
		Kind: credential.Kind(c.Kind), TenantID: d.TenantID, ClientID: d.ClientID, AuthorityHost: authority,
		Secret: c.Secret, Certificate: c.Certificate, CertificateKey: c.Key, CertificatePassword: c.Password,
		Username: c.Username, TokenCache: c.TokenCache, Say: o.Say,
		IdentityClientID: c.Identity, ExchangeScope: place(d).ExchangeScope(), TokenFile: c.TokenFile,
		VaultURL: i.KeyVault, VaultCredential: own,
		Loopback: address.IsLoopbackURL(authority) || address.IsLoopbackURL(i.KeyVault), Transport: o.transporter(),
	})
}

// OwnIdentity is the app's identity, or the person's who runs a command.
func OwnIdentity(cfg config.Config) credential.Config {
	switch kind := credential.Kind(cfg.ADX.Credential); kind {
	case credential.KindAzureCLI:
		return credential.Config{Kind: kind}
	case credential.KindWorkloadIdentity:
		return credential.Config{Kind: kind, TenantID: cfg.ADX.TenantID, ClientID: cfg.ADX.ClientID, TokenFile: cfg.ADX.TokenFile, AuthorityHost: cfg.ADX.Authority}
	case credential.KindDeviceCode, credential.KindBrowser:
		return credential.Config{Kind: kind, TenantID: cfg.ADX.TenantID, ClientID: cmp.Or(cfg.ADX.ClientID, credential.DeveloperClientID), AuthorityHost: cfg.ADX.Authority}
	}
	return credential.Config{Kind: credential.KindManagedIdentity, ClientID: cfg.ADX.ClientID}
}

func place(d config.Defender) cloud.Cloud { return cloud.Cloud{Name: d.Cloud, Region: d.Region} }

// endpoint returns where an API of d is: as the cloud's table says, but for what a
// setting overrides.
func endpoint(d config.Defender, api defender.API) cloud.Endpoint {
	at, own := place(d).Graph(), d.Graph
	if api == defender.MDE {
		at, own = place(d).MDE(), d.MDE
	}
	return cloud.Endpoint{BaseURL: cmp.Or(d.BaseURL, own.BaseURL, at.BaseURL), Scope: cmp.Or(d.Scope, own.Scope, at.Scope)}
}

// apis are the hunting APIs that d may use, the first one by preference.
func apis(d config.Defender) []defender.API {
	if d.API == "auto" {
		return []defender.API{defender.Graph, defender.MDE}
	}
	return []defender.API{defender.API(d.API)}
}
