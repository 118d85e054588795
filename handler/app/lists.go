package app

import (
	"errors"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/cloud"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/quota"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// buckets are the sources of a kind that share a limit of calls, one of each bucket.
func buckets(kind schema.Kind) (first []schema.Source) {
	for _, s := range schema.Sources() {
		if s.Kind == kind && !slices.ContainsFunc(first, func(o schema.Source) bool { return o.Bucket == s.Bucket }) {
			first = append(first, s)
		}
	}
	return first
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

// clients are those of the APIs of Defender, whichever of them is hunted by: lists
// belong to one of them, file exports to Defender for Endpoint.
type clients map[defender.API]*defender.Client

func newClients(i config.Instance, cred azcore.TokenCredential, o Options) (clients, error) {
	out := clients{}
	for _, api := range []defender.API{defender.Graph, defender.MDE} {
		e := restEndpoint(i.Defender, api)
		if e.BaseURL == "" {
			continue // the cloud does not have it
		}
		client, err := defender.New(defender.Config{
			API: api, BaseURL: e.BaseURL, Version: i.Defender.GraphVersion, Scope: e.Scope, Credential: cred, Transport: o.Transport,
			AnswerTimeout: o.Waits.Answer, IdleTimeout: o.Waits.Idle, Now: o.Clock.Now, Logger: o.Log,
		})
		if err != nil {
			return nil, err
		}
		out[api] = client
	}
	return out, nil
}

// hunter returns the client of the API that is hunted by, or that of either.
func (c clients) hunter(d config.Defender) hunter {
	use := apis(d)
	if len(use) == 2 {
		return defender.NewAuto(c[use[0]], c[use[1]])
	}
	return c[use[0]]
}

// lists returns the lists of every bucket, with its quota.
func (c clients) lists(quotas map[string]*quota.Quota) (out []pipeline.Lists) {
	for _, s := range buckets(schema.List) {
		if client := c[defender.API(s.API)]; client != nil {
			out = append(out, pipeline.Lists{Source: defender.NewLists(client, s.Bucket), Quota: quotas[s.Bucket]})
		}
	}
	return out
}

// exports gives ports the file exports, with their quota.
func (c clients) exports(ports *pipeline.Ports, quotas map[string]*quota.Quota) {
	for _, s := range buckets(schema.Files) {
		if client := c[defender.API(s.API)]; client != nil {
			ports.Exports, ports.ExportQuota = defender.NewExports(client), quotas[s.Bucket]
		}
	}
}

// newBucketQuotas makes the quotas of what a tenant has beside hunting, each with the
// limits that the catalogue has; of is that of hunting, whose share is left to people
// here, too.
func newBucketQuotas(of quota.Config) (map[string]*quota.Quota, error) {
	out := map[string]*quota.Quota{}
	var errs []error
	for _, s := range slices.Concat(buckets(schema.List), buckets(schema.Files)) {
		of.Bucket, of.PerMinute, of.PerHour = s.Bucket, s.PerMinute, s.PerHour
		calls, err := quota.New(of)
		out[s.Bucket] = calls
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// listAllowance is what the quota of a source's list gives; false for another source.
func listAllowance(d config.Defender, source string) (Allowance, bool) {
	s, ok := schema.SourceNamed(source)
	if !ok || s.Kind != schema.List {
		return Allowance{}, false
	}
	d.CallsPerMinute, d.CallsPerHour = s.PerMinute, s.PerHour
	return NewAllowance(d), true
}
