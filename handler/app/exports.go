package app

import (
	"cmp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/cloud"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/quota"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// wireExports gives the instance its file exports.
func (i *instance) wireExports(cred azcore.TokenCredential, calls *quota.Quota, o Options) error {
	at := restEndpoint(i.Defender, defender.MDE)
	exports, err := defender.NewExports(defender.Config{
		BaseURL: at.BaseURL, Scope: at.Scope, Credential: cred, Transport: o.Transport,
		AnswerTimeout: o.Waits.Answer, IdleTimeout: o.Waits.Idle, Now: o.Clock.Now, Logger: o.Log,
	})
	if err != nil {
		return err
	}
	i.ports.Exports, i.ports.ExportQuota = exports, calls
	return nil
}

// restEndpoint returns where what is no hunting is asked of an API: as endpoint does, but
// DEFENDER_BASE_URL and DEFENDER_SCOPE are those of the API that hunts. Only a stand-in
// on this machine serves both.
func restEndpoint(d config.Defender, api defender.API) cloud.Endpoint {
	if d.API != string(api) {
		if !address.IsLoopbackURL(d.BaseURL) {
			d.BaseURL = ""
		}
		d.Scope = ""
	}
	return endpoint(d, api)
}

// exportLimits are the limits that all file exports of a tenant share, and what their
// quota is called: of the catalogued ones the lowest.
func exportLimits() (bucket string, perMinute, perHour int) {
	for _, s := range schema.Sources() {
		if s.Kind != schema.Files {
			continue
		}
		bucket = s.Bucket
		perMinute = min(cmp.Or(perMinute, s.PerMinute), s.PerMinute)
		perHour = min(cmp.Or(perHour, s.PerHour), s.PerHour)
	}
	return bucket, perMinute, perHour
}
