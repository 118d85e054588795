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
	defender, adx, storage azcore.TokenCredential
}

// newCredentials makes the identities. The vault and storage are reached with
// the identity of ADX, which is the app's own.
func newCredentials(cfg config.Config, o Options) (credentials, error) {
	own := OwnIdentity(cfg)
	own.Transport = o.transporter()
	var out credentials
	self, err := credential.New(own)
	if err != nil {
		return out, fmt.Errorf("ADX_CREDENTIAL: %w", err)
	}
	out.adx = self
	storage := own
	if cfg.Storage.ClientID != "" {
		storage.ClientID = cfg.Storage.ClientID
	}
	if out.storage, err = credential.New(storage); err != nil {
		return out, fmt.Errorf("AzureWebJobsStorage: %w", err)
	}
	_, e, err := endpoint(cfg)
	if err != nil {
		return out, err
	}
	source := credential.Config{Kind: credential.Kind(cfg.Defender.Credential), TenantID: cfg.Defender.TenantID, ClientID: cfg.Defender.ClientID,
		AuthorityHost: e.Authority, Loopback: address.IsLoopbackURL(e.Authority) || address.IsLoopbackURL(cfg.KeyVault), Transport: o.transporter()}
	secret := source
	secret.Kind, secret.VaultCredential = credential.KindSecret, self
	secret.Vault = &credential.VaultRef{URL: cfg.KeyVault, Secret: cfg.Defender.SecretName}
	if source.Kind == credential.KindSecret {
		source = secret
	}
	if out.defender, err = credential.New(source); err != nil {
		return out, fmt.Errorf("DEFENDER_CREDENTIAL: %w", err)
	}
	if cfg.ADX.Credential == "secret" {
		if out.adx, err = credential.New(secret); err != nil {
			return out, fmt.Errorf("ADX_CREDENTIAL: %w", err)
		}
	}
	return out, nil
}

// OwnIdentity is the app's identity, or the person's who runs a command.
func OwnIdentity(cfg config.Config) credential.Config {
	if cfg.ADX.Credential == "azure-cli" {
		return credential.Config{Kind: credential.KindAzureCLI}
	}
	return credential.Config{Kind: credential.KindManagedIdentity, ClientID: cfg.ADX.ClientID}
}

// endpoint returns the hunting API in cfg and where it is.
func endpoint(cfg config.Config) (defender.API, defender.Endpoint, error) {
	api, _, err := defender.ParseAPI(cfg.Defender.API)
	if err != nil {
		return "", defender.Endpoint{}, err
	}
	e, err := defender.Endpoints(cfg.Defender.Cloud, api)
	if err != nil {
		return "", defender.Endpoint{}, err
	}
	override(&e.BaseURL, cfg.Defender.BaseURL)
	override(&e.Scope, cfg.Defender.Scope)
	override(&e.Authority, cfg.Defender.Authority)
	return api, e, nil
}

func override(to *string, value string) {
	if value != "" {
		*to = value
	}
}
