package app

import (
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/credential"
	"github.com/defender2adx/defender2adx/internal/defender"
)

type credentials struct {
	own, adx, storage azcore.TokenCredential
}

// newCredentials makes the identities that all instances share. The vaults and
// storage are reached with the app's own.
func newCredentials(cfg config.Config, o Options) (credentials, error) {
	own := OwnIdentity(cfg)
	own.Transport = o.transporter()
	var out credentials
	var err error
	if out.own, err = credential.New(own); err != nil {
		return out, fmt.Errorf("ADX_CREDENTIAL: %w", err)
	}
	out.adx = out.own
	storage := own
	if cfg.Storage.ClientID != "" {
		storage.ClientID = cfg.Storage.ClientID
	}
	if out.storage, err = credential.New(storage); err != nil {
		return out, fmt.Errorf("AzureWebJobsStorage: %w", err)
	}
	if cfg.ADX.Credential == "secret" {
		i, err := cfg.Instance("")
		if err == nil {
			i.Defender.Credential = string(credential.KindSecret)
			out.adx, err = sourceCredential(i, out.own, o)
		}
		if err != nil {
			return out, fmt.Errorf("ADX_CREDENTIAL: %w", err)
		}
	}
	return out, nil
}

// sourceCredential is what signs in to Defender for the instance; its vault is
// opened with own.
func sourceCredential(i config.Instance, own azcore.TokenCredential, o Options) (azcore.TokenCredential, error) {
	_, e, err := endpoint(i.Defender)
	if err != nil {
		return nil, err
	}
	c := credential.Config{Kind: credential.Kind(i.Defender.Credential), TenantID: i.Defender.TenantID, ClientID: i.Defender.ClientID,
		AuthorityHost: e.Authority, Loopback: address.IsLoopbackURL(e.Authority) || address.IsLoopbackURL(i.KeyVault), Transport: o.transporter()}
	if c.Kind == credential.KindSecret {
		c.VaultCredential, c.Vault = own, &credential.VaultRef{URL: i.KeyVault, Secret: i.Defender.SecretName}
	}
	cred, err := credential.New(c)
	if err != nil {
		return nil, fmt.Errorf("DEFENDER_CREDENTIAL: %w", err)
	}
	return cred, nil
}

// OwnIdentity is the app's identity, or the person's who runs a command.
func OwnIdentity(cfg config.Config) credential.Config {
	if cfg.ADX.Credential == "azure-cli" {
		return credential.Config{Kind: credential.KindAzureCLI}
	}
	return credential.Config{Kind: credential.KindManagedIdentity, ClientID: cfg.ADX.ClientID}
}

// endpoint returns the hunting API in d and where it is.
func endpoint(d config.Defender) (defender.API, defender.Endpoint, error) {
	api, _, err := defender.ParseAPI(d.API)
	if err != nil {
		return "", defender.Endpoint{}, err
	}
	e, err := defender.Endpoints(d.Cloud, api)
	if err != nil {
		return "", defender.Endpoint{}, err
	}
	override(&e.BaseURL, d.BaseURL)
	override(&e.Scope, d.Scope)
	override(&e.Authority, d.Authority)
	return api, e, nil
}

func override(to *string, value string) {
	if value != "" {
		*to = value
	}
}
