package answer

import (
	"slices"

	"github.com/defender2adx/defender2adx/internal/fault"
)

const (
	entraCodes  = "Entra ID, authentication and authorization error codes"
	federation  = "Microsoft Entra documentation, workload identity federation and its error codes"
	oauth       = "RFC 6749, token error responses"
	vaultPage   = "Key Vault, REST API error codes"
	statusPage  = "Kusto, ingestion error codes"
	kustoStatus = "Kusto, HTTP status codes of the query endpoint"
)

// busy is the remedy where there is nothing to do but to come again.
const busy = "the service is busy or unavailable"

// entraRows go by the AADSTS number, which is the code, and by the OAuth error,
// which is the text. The remedy of a refused secret begins where the name of the
// secret ends.
var entraRows = slices.Concat(
	[]Row{
		// Entra's own trouble comes as 400 too.
		{Service: Entra, Codes: []string{"AADSTS90033", "AADSTS50087", "AADSTS50196"}, Meaning: Busy, Kind: fault.Retry, Remedy: busy, Source: entraCodes},
	},
	transient(Entra, busy, oauth),
	[]Row{
		{Service: Entra, Min: 410, Max: 410, Meaning: Busy, Kind: fault.Retry, Remedy: busy, Source: "Managed identities, token endpoint of a virtual machine: 410 while it is updated"},
		{Service: Entra, Texts: []string{"temporarily_unavailable", "server_error"}, Meaning: Busy, Kind: fault.Retry, Remedy: busy, Source: oauth},
		{Service: Entra, Codes: []string{"AADSTS7000222"}, Meaning: WrongSecret, Kind: fault.Permanent,
			Remedy: "has expired: store a new client secret of the application", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS7000215"}, Meaning: WrongSecret, Kind: fault.Permanent,
			Remedy: "is not a client secret of the application: store its value, not its id", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS700027"}, Meaning: WrongSecret, Kind: fault.Permanent,
			Remedy: "is not registered on the application, or its time there is over: upload its public part under the app registration's certificates, or store the one that is registered", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS700024"}, Meaning: TokenExpired, Kind: fault.Permanent,
			Remedy: "the time in what was signed or exchanged is not Entra ID's: check this machine's clock, or why the token's file is not renewed", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS70021", "AADSTS700211", "AADSTS700212", "AADSTS700213"}, Meaning: MissingRight, Kind: fault.Permanent,
			Remedy: "the app registration trusts no such identity: add a federated credential with its issuer, subject (a managed identity's object id) and audience; a new one takes some minutes", Source: federation},
		{Service: Entra, Codes: []string{"AADSTS700236"}, Meaning: MissingRight, Kind: fault.Permanent,
			Remedy: "only a user-assigned managed identity's token can be exchanged", Source: federation},
		{Service: Entra, Codes: []string{"AADSTS65001"}, Meaning: MissingRight, Kind: fault.Permanent,
			Remedy: "nobody consented to the application's delegated permissions on this API: add them and grant admin consent", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS70020"}, Meaning: TokenExpired, Kind: fault.Permanent,
			Remedy: "the code was not entered in time: sign in again", Source: entraCodes},
		{Service: Entra, Texts: []string{"authorization_declined"}, Meaning: MissingRight, Kind: fault.Permanent,
			Remedy: "the person declined to sign in", Source: "RFC 8628 and Microsoft identity platform, device authorization grant"},
		{Service: Entra, Codes: []string{"AADSTS700016"}, Meaning: WrongTenant, Kind: fault.Permanent,
			Remedy: "the tenant has no such application: check client id and tenant id", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS90002"}, Meaning: WrongTenant, Kind: fault.Permanent,
			Remedy: "there is no such tenant in this cloud: check tenant id and cloud", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS7000112"}, Meaning: MissingRight, Kind: fault.Permanent,
			Remedy: "the application is disabled: enable it in Entra ID", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS7000229"}, Meaning: MissingRight, Kind: fault.Permanent,
			Remedy: "the application has no service principal in the tenant: give admin consent", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS500011"}, Meaning: WrongTenant, Kind: fault.Permanent,
			Remedy: "the tenant does not know the API that the token is for: check cloud and licence", Source: entraCodes},
		{Service: Entra, Codes: []string{"AADSTS53003"}, Meaning: MissingRight, Kind: fault.Permanent,
			Remedy: "a Conditional Access policy for workload identities blocks the application", Source: entraCodes},
		{Service: Entra, Texts: []string{"invalid_client"}, Meaning: WrongSecret, Kind: fault.Permanent,
			Remedy: "is not accepted: store a valid client secret of the application", Source: oauth},
		{Service: Entra, Meaning: Undecided, Kind: fault.Permanent, Source: oauth},
	},
)

// vaultRows go by the inner code where there is one, which tells the several
// reasons of a 403 apart.
var vaultRows = slices.Concat(
	[]Row{
		{Service: Vault, Min: 403, Max: 403, Codes: []string{"SecretDisabled"}, Meaning: WrongSecret, Kind: fault.Permanent,
			Remedy: "enable the secret or store a new version", Source: vaultPage},
		{Service: Vault, Min: 403, Max: 403, Codes: []string{"ForbiddenByFirewall"}, Meaning: MissingRight, Kind: fault.Permanent,
			Remedy: "let the app's network through the vault's firewall", Source: vaultPage},
		{Service: Vault, Min: 403, Max: 403, Meaning: MissingRight, Kind: fault.Permanent,
			Remedy: "give the app's identity the role Key Vault Secrets User on the vault; a new role takes some minutes to work", Source: vaultPage},
		{Service: Vault, Min: 401, Max: 401, Meaning: TokenRefused, Kind: fault.Permanent,
			Remedy: "the vault does not accept the identity's token: check that both belong to the same tenant", Source: vaultPage},
		{Service: Vault, Min: 404, Max: 404, Meaning: UnknownName, Kind: fault.Permanent,
			Remedy: "the vault has no such secret: create it or correct the name", Source: vaultPage},
	},
	transient(Vault, "the vault is busy or unavailable", vaultPage),
	[]Row{{Service: Vault, Meaning: Undecided, Kind: fault.Permanent, Remedy: "check the vault URL", Source: ours}},
)

// unknownToKusto is in the code of a command's refusal, or in the number or the
// text of a query's semantic error.
var unknownToKusto = []string{"notfound", "sem0100", "failed to resolve"}

// unknownDatabase is in the text of a refusal that is about the database, whatever was
// asked of it.
var unknownDatabase = []string{"kind 'database'"}

// kustoRows go by Kusto's own flag where there is one, else by the status.
var kustoRows = []Row{
	// Whatever the status is, which no page names.
	{Service: Kusto, Texts: []string{"capacity is currently paused", "capacitynotactive"}, Meaning: Paused, Kind: fault.Wait,
		Remedy: "resume the Fabric capacity of the Eventhouse", Source: "Microsoft Fabric, pause and resume: effect on user requests"},
	{Service: Kusto, Min: 401, Max: 401, Meaning: TokenRefused, Kind: fault.Permanent, Source: kustoStatus},
	{Service: Kusto, Min: 403, Max: 403, Meaning: MissingRight, Kind: fault.Permanent, Source: kustoStatus},
	{Service: Kusto, Min: 429, Max: 429, Meaning: Throttled, Kind: fault.Retry, Source: "Kusto, capacity policy"},
	{Service: Kusto, Texts: []string{"throttled"}, Meaning: Throttled, Kind: fault.Retry, Source: "Kusto, capacity policy"},
	{Service: Kusto, Min: 408, Max: 408, Meaning: Busy, Kind: fault.Retry, Source: "RFC 9110"},
	{Service: Kusto, Flag: Passing, Meaning: Busy, Kind: fault.Retry, Source: kustoErrors},
	{Service: Kusto, Max: anyClientError, Texts: unknownDatabase, Meaning: UnknownDatabase, Kind: fault.Permanent, Source: kustoErrors},
	{Service: Kusto, Flag: Permanent, Texts: unknownToKusto, Meaning: UnknownName, Kind: fault.Permanent, Source: kustoErrors},
	{Service: Kusto, Flag: Permanent, Meaning: BadQuery, Kind: fault.Permanent, Source: kustoErrors},
	{Service: Kusto, Max: anyClientError, Texts: unknownToKusto, Meaning: UnknownName, Kind: fault.Permanent, Source: kustoErrors},
	{Service: Kusto, Max: anyClientError, Meaning: BadQuery, Kind: fault.Permanent, Source: kustoStatus},
	{Service: Kusto, Meaning: Busy, Kind: fault.Retry, Source: kustoStatus},
}

// ingestionRows are for the status of one blob. The code decides whatever the
// status is: a blob that was skipped for its tag is reported as Skipped by some
// clusters and as Failed, Permanent by others, with and without the prefix.
var ingestionRows = []Row{
	{Service: Ingestion, Codes: []string{"Skipped_IngestByTagAlreadyExists", "IngestByTagAlreadyExists"},
		Meaning: AlreadyIngested, Kind: fault.None, Source: statusPage + "; " + observed},
	{Service: Ingestion, Codes: []string{"BadRequest_EmptyBlob", "BadRequest_EmptyArchive"}, Meaning: EmptyBlob, Kind: fault.Permanent, Source: statusPage},
	{Service: Ingestion, Meaning: IngestionFailed, Kind: fault.Permanent, Source: statusPage},
}
