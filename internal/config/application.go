package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/cloud"
)

// adxReads are the settings of an application that ADX may have for itself, by their names
// of the default instance, and the kinds of ADX_CREDENTIAL that read them. ADX_CLIENT_ID
// is none: it is older, and beside none of these the id of the app's identity.
var adxReads = map[string][]string{
	tenantSetting:                          slices.Concat(shared, delegated, []string{kindWorkloadIdentity}),
	authoritySetting:                       slices.Concat(shared, delegated, []string{kindWorkloadIdentity}),
	"DEFENDER_SECRET_NAME":                 {kindSecret},
	"DEFENDER_CLIENT_SECRET":               {kindSecret},
	"DEFENDER_CLIENT_CERTIFICATE":          {kindCertificate},
	"DEFENDER_CLIENT_CERTIFICATE_KEY":      {kindCertificate},
	"DEFENDER_CLIENT_CERTIFICATE_PASSWORD": {kindCertificate},
	"DEFENDER_CREDENTIAL_IDENTITY":         shared,
}

// adxKinds are the kinds that ADX_CREDENTIAL takes.
var adxKinds = slices.Concat([]string{kindManagedIdentity, kindWorkloadIdentity, kindAzureCLI}, shared, delegated)

// adxGiven returns the settings of adxReads that ADX has for itself, and of them those that
// its kind reads; both by their names of the default instance. A kind that is none reads
// all: it is refused.
func adxGiven(getenv func(string) string) (kind string, given, read []string) {
	kind = cmp.Or(strings.ToLower(strings.TrimSpace(getenv("ADX_CREDENTIAL"))), kindManagedIdentity)
	s := source{getenv: getenv, adx: true}
	for _, setting := range slices.Sorted(maps.Keys(adxReads)) {
		if !s.own(setting) {
			continue
		}
		given = append(given, setting)
		if slices.Contains(adxReads[setting], kind) || !slices.Contains(adxKinds, kind) {
			read = append(read, setting)
		}
	}
	return kind, given, read
}

// ownApplication reports whether ADX has an application of its own. ADX_CLIENT_ID is then
// that application's id, else that of the app's identity.
func ownApplication(getenv func(string) string) bool {
	kind, _, read := adxGiven(getenv)
	return slices.Contains(shared, kind) && len(read) > 0
}

// ownIdentity returns the setting that names the app's user-assigned identity, and its
// value; "" is the system-assigned one.
func ownIdentity(getenv func(string) string) (setting, clientID string) {
	setting = "ADX_CLIENT_ID"
	if ownApplication(getenv) {
		setting = "ADX_CREDENTIAL_IDENTITY"
	}
	return setting, strings.TrimSpace(getenv(setting))
}

// adxUnread warns of what ADX has for itself and its kind of credential does not read.
func adxUnread(getenv func(string) string) (out []string) {
	kind, given, read := adxGiven(getenv)
	for _, setting := range given {
		if !slices.Contains(read, setting) {
			out = append(out, fmt.Sprintf("%s%s: is not read with ADX_CREDENTIAL=%s", adxPrefix, strings.TrimPrefix(setting, defenderPrefix), kind))
		}
	}
	return out
}

// adxIdentity fills in what the app's identity, or a person's, takes from elsewhere and
// returns what it needs and does not find there.
func (c *Config) adxIdentity(getenv func(string) string) (errs []error) {
	given := c.ADX.Application.Defender
	c.ADX.Authority = cmp.Or(given.Authority, clusterAuthority(getenv, strings.TrimSpace(getenv("ADX_CLUSTER_URL"))))
	switch kind := c.ADX.Credential; {
	case ownApplication(getenv):
		c.ADX.ClientID = given.Credential.Identity
	case slices.Contains(delegated, kind):
		c.ADX.TenantID = cmp.Or(given.TenantID, strings.TrimSpace(getenv("AZURE_TENANT_ID")), strings.TrimSpace(getenv(tenantSetting)))
		if c.ADX.TenantID == "" {
			errs = append(errs, fmt.Errorf("AZURE_TENANT_ID: is not set, nor ADX_TENANT_ID; ADX_CREDENTIAL %s needs the tenant that you sign in to", kind))
		}
	case kind == kindWorkloadIdentity:
		c.ADX.TenantID = given.TenantID
		for _, from := range []struct {
			to   *string
			name string
		}{{&c.ADX.ClientID, "AZURE_CLIENT_ID"}, {&c.ADX.TenantID, "AZURE_TENANT_ID"}, {&c.ADX.TokenFile, "AZURE_FEDERATED_TOKEN_FILE"}} {
			if *from.to = cmp.Or(*from.to, strings.TrimSpace(getenv(from.name))); *from.to == "" {
				errs = append(errs, fmt.Errorf("%s: is not set; Kubernetes sets it where workload identity, which ADX_CREDENTIAL asks for, is switched on for the pod", from.name))
			}
		}
	}
	return errs
}

// adxApplication settles which application signs in to ADX: its own, or that of the
// default instance, whose faults count only then.
func (c *Config) adxApplication(getenv func(string) string) (errs []error) {
	kind := c.ADX.Credential
	if !slices.Contains(shared, kind) {
		c.ADX.Application = Instance{}
		return nil
	}
	if ownApplication(getenv) {
		c.ADX.Application, errs = source{getenv: getenv, adx: true}.application(kind)
		return errs
	}
	i, err := c.Instance("")
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("ADX_CREDENTIAL: %s is that of the instance without a name: set DEFENDER_TENANT_ID and what it needs, or ADX_TENANT_ID and what that needs, or choose managed-identity", kind))
	case i.Fault != nil:
		errs = append(errs, i.Fault)
	case i.Defender.Credential.Kind == kindManagedIdentity:
		errs = append(errs, fmt.Errorf("ADX_CREDENTIAL: %s signs in as the application of DEFENDER_CLIENT_ID, and with DEFENDER_CREDENTIAL=%s there is none: choose managed-identity for both, or give ADX an application of its own (ADX_TENANT_ID, ADX_CLIENT_ID and what %s needs)", kind, kindManagedIdentity, kind))
	default:
		errs = append(errs, source{getenv: getenv}.credentialFaults(i, kind)...)
	}
	i.Defender.Credential.Kind = kind
	c.ADX.Application = i
	return errs
}

// application reads ADX's own application, as far as its kind of credential goes.
func (s source) application(kind string) (Instance, []error) {
	c, errs := s.read(func(x Setting) bool {
		switch x.Name {
		case tenantSetting:
			return s.value(tenantSetting) != ""
		case authoritySetting: // a faulty one of Defender is no loss
			return s.own(authoritySetting) || httpsURL(new(string))(s.value(authoritySetting)) == nil
		case vaultSetting:
			return kind != kindFederated
		}
		return x.Name == clientSetting || slices.Contains(adxReads[x.Name], kind)
	})
	i := Instance{Defender: c.Defender, KeyVault: c.KeyVault}
	d := &i.Defender
	d.Credential.Kind = kind
	if s.value(tenantSetting) == "" {
		errs = append(errs, s.fault(tenantSetting, "is not set, nor DEFENDER_TENANT_ID; %s needs the tenant of the application", kind))
	}
	identity := strings.TrimSpace(s.getenv("AzureWebJobsStorage__clientId"))
	switch {
	case s.own(clientSetting) && identity != "" && strings.EqualFold(d.ClientID, identity):
		errs = append(errs, s.fault(clientSetting, "is the managed identity of AzureWebJobsStorage__clientId and no application, which ADX_CREDENTIAL=%s needs: give the identity as ADX_CREDENTIAL_IDENTITY", kind))
	case !s.own(clientSetting) && strings.EqualFold(strings.TrimSpace(s.getenv("DEFENDER_CREDENTIAL")), kindManagedIdentity):
		errs = append(errs, fmt.Errorf("ADX_CLIENT_ID: is not set; %s needs the application's id, and with DEFENDER_CREDENTIAL=%s there is no other", kind, kindManagedIdentity))
	}
	s.ownAddresses(d)
	s.nearCluster(d)
	return i, append(errs, s.credential(&i)...)
}

// nearCluster settles the cloud of ADX's own application: that of its authority, where ADX
// has one for itself, else that of the cluster. Of Defender's authority only a proxy's or
// a stand-in's is taken, which is of no cloud.
func (s source) nearCluster(d *Defender) {
	own := s.own(authoritySetting) || s.own(tenantSetting) && strings.Contains(s.value(tenantSetting), "://")
	if clouds, closed := cloud.OfHost(hostOf(d.Authority)); !own && (len(clouds) > 0 || closed != nil) {
		d.Authority = ""
	}
	d.Authority = cmp.Or(d.Authority, cloud.AuthorityOfCluster(hostOf(s.getenv("ADX_CLUSTER_URL"))))
	d.Cloud = cloud.Global
	if clouds, _ := cloud.OfHost(hostOf(d.Authority)); len(clouds) > 0 {
		d.Cloud = clouds[0]
	}
}
