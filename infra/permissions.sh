#!/bin/sh
# Lets Defender2ADX read Microsoft Defender: registers the application or takes the
# managed identity, grants the app roles that its sources need and no others, and
# keeps the credential in Key Vault. Every command may be repeated: what is there
# stays. Needs the Azure CLI, signed in to the tenant that it changes.
set -eu

usage() {
	cat <<'END'
usage: sh infra/permissions.sh COMMAND [OPTION VALUE]...

  grant     application or identity, app roles, credential
  consent   in another tenant: take the application in and grant it the app roles
  rotate    a new secret or certificate, stored in the vault; the old one stays valid
  retire    remove the secrets, or certificates, of the application that the vault no longer holds

  --credential KIND    secret (default), certificate, federated or managed-identity
  --sources LIST       sources in infra/app-roles.tsv, with blanks between; default graph. All
                       that are copied: a role of no source named here is called too many
                       Values of DEFENDER_API are taken, too: auto is graph and mde
  --cloud CLOUD        global (default), gcc, gcc-high or dod, as DEFENDER_CLOUD takes them
  --vault NAME         Key Vault of the secret or certificate; without it both wait for one
  --secret-name NAME   the secret in the vault; default defender-client-secret
  --name NAME          display name of the application; default Defender2ADX
  --client-id ID       application that is there already
  --principal-id ID    object id of the managed identity (managed-identity, federated)
  --identity-tenant ID tenant of the managed identity (federated); default the current one
  --days N             how long a secret or certificate is valid; default 180, at most 365
  --multi-tenant       the application is for other tenants, too
  --directory-login DIR  where Defender is in another tenant or cloud than the vault: the folder
                       of a second login, made by AZURE_CONFIG_DIR=DIR az login. The directory
                       is reached by it, the vault by the usual one
  --open-vault         open a vault without public access for as long as the script writes to it
END
}

die() {
	printf 'permissions: %s\n' "$*" >&2
	exit 1
}

say() { printf '%-9s %s\n' "$1" "$2"; }

command=${1-}
case $command in
grant | consent | rotate | retire) shift ;;
-h | --help | help) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac

credential=secret sources=graph cloud=global vault='' name=Defender2ADX client_id='' principal_id='' identity_tenant='' days=180
audience=AzureADMyOrg open_vault='' directory_login='' secret_name=defender-client-secret certificate_name=defender-client-certificate
while [ $# -gt 0 ]; do
	case $1 in
	--multi-tenant) audience=AzureADMultipleOrgs && shift && continue ;;
	--open-vault) open_vault=yes && shift && continue ;;
	-h | --help) usage && exit 0 ;;
	esac
	[ $# -ge 2 ] || die "$1 needs a value"
	case $1 in
	--credential) credential=$2 ;;
	--sources) sources=$2 ;;
	--cloud) cloud=$2 ;;
	--vault) vault=$2 ;;
	--secret-name) secret_name=$2 ;;
	--name) name=$2 ;;
	--client-id) client_id=$2 ;;
	--principal-id) principal_id=$2 ;;
	--identity-tenant) identity_tenant=$2 ;;
	--days) days=$2 ;;
	--directory-login) directory_login=$2 ;;
	*) die "$1 is no option (--help lists them)" ;;
	esac
	shift 2
done

case $credential in secret | certificate | federated | managed-identity) ;; *) die "--credential: want secret, certificate, federated or managed-identity, got $credential" ;; esac
case $days in '' | *[!0-9]* | ????*) die "--days: want 1 to 365, got $days" ;; esac
[ "$days" -ge 1 ] && [ "$days" -le 365 ] || die "--days: want 1 to 365, got $days"
case $secret_name in '' | *[!A-Za-z0-9-]*) die "--secret-name: want letters, digits and hyphens, got $secret_name" ;; esac
named=''
[ "$secret_name" = defender-client-secret ] || named=" --secret-name $secret_name"
case $name in *[!A-Za-z0-9._\ -]*) die "--name: want letters, digits, blanks, dots, hyphens and underscores" ;; esac

# wanted: the lines of the list for the sources, each an API and a role.
list=$(dirname "$0")/app-roles.tsv
wanted=''
for source in $sources; do
	case $(printf '%s' "$source" | tr '[:upper:]' '[:lower:]') in # as DEFENDER_API may have it
	auto) source='graph mde' ;;
	mdatp | m365d) source=mde ;;
	m365dgraph) source=graph ;;
	esac
	for one in $source; do
		lines=$(awk -F '\t' -v source="$one" '$1 == source { print $3 "\t" $4 }' "$list")
		[ -n "$lines" ] || die "--sources: $one is none of $(awk -F '\t' '!/^#/ { print $1 }' "$list" | sort -u | tr '\n' ' ')"
		wanted="$wanted$lines
"
	done
done
wanted=$(printf '%s' "$wanted" | sort -u)
tab=$(printf '\t')

# Where the directory of each cloud is, and what a managed identity's token is exchanged for there.
. "$(dirname "$0")/cloud.sh"
cloud_of "$cloud" || die "--cloud: $cloud"
login=https://login.microsoftonline.com exchange=api://AzureADTokenExchange
case $cloud in
gcc-high) graph=https://graph.microsoft.us ;;
dod) graph=https://dod-graph.microsoft.us ;;
*) graph=https://graph.microsoft.com ;;
esac
case $graph in *.us) login=https://login.microsoftonline.us exchange=api://AzureADTokenExchangeUSGov ;; esac

command -v az >/dev/null || die "the Azure CLI (az) is not installed"
az() { command az "$@" </dev/null; } # it reads no input of ours
# directory: the CLI with the login that reaches the tenant of Defender.
directory() {
	if [ -n "$directory_login" ]; then
		AZURE_CONFIG_DIR=$directory_login command az "$@" </dev/null
	else
		az "$@"
	fi
}
by=${directory_login:+AZURE_CONFIG_DIR=$directory_login }
current=$(directory cloud show --query name --output tsv) || die "az cloud show failed"
[ "$current" = "$azure" ] || die "the Azure CLI is set to $current; for the cloud $cloud run: ${by}az cloud set --name $azure && ${by}az login --tenant TENANT. If the vault is in $current, keep that login and make a second one (--directory-login)"
tenant=$(directory account show --query tenantId --output tsv) || die "not signed in; run: ${by}az login --tenant TENANT, the one of Defender"

# get PATH QUERY: what the directory says, as text; nothing where there is nothing.
get() {
	got=$(directory rest --method GET --resource "$graph" --url "$graph/v1.0/$1" --query "$2" --output tsv) || die "reading $1 failed; it takes a role such as Directory Reader"
	[ "$got" = None ] || printf '%s' "$got"
}

# send WHO METHOD PATH BODY [QUERY]: changes the directory; WHO may.
send() {
	directory rest --method "$2" --resource "$graph" --url "$graph/v1.0/$3" --headers Content-Type=application/json --body "$4" --query "${5-id}" --output tsv ||
		die "changing $3 failed; it takes the role $1"
}

developer='Application Developer or Cloud Application Administrator'
administrator='Privileged Role Administrator or Global Administrator'

# principal_of APPLICATION: the object id of its service principal in this tenant, made where it is missing.
principal_of() {
	found=$(get "servicePrincipals?\$filter=appId%20eq%20'$1'&\$select=id" 'value[0].id')
	[ -n "$found" ] || found=$(send 'Cloud Application Administrator' POST servicePrincipals "{\"appId\":\"$1\"}")
	printf '%s' "$found"
}

# role_id API ROLE: the id of an app role in this cloud, by its name.
role_id() {
	id=$(get "servicePrincipals/$1?\$select=appRoles" "appRoles[?value=='$2' && contains(allowedMemberTypes, 'Application')].id | [0]")
	[ -n "$id" ] || die "$2 is not offered in this cloud: its API has no such app role"
	printf '%s' "$id"
}

# grant_roles PRINCIPAL: the app roles of the sources, and a word on others that it has.
grant_roles() {
	given=''
	while IFS=$tab read -r api role; do
		resource=$(principal_of "$api")
		id=$(role_id "$resource" "$role")
		has=$(get "servicePrincipals/$1/appRoleAssignments" "value[?resourceId=='$resource' && appRoleId=='$id'].id | [0]")
		if [ -n "$has" ]; then
			say there "app role $role"
		else
			has=$(send "$administrator" POST "servicePrincipals/$1/appRoleAssignments" "{\"principalId\":\"$1\",\"resourceId\":\"$resource\",\"appRoleId\":\"$id\"}")
			say granted "app role $role"
		fi
		given="$given $has "
	done <<END
$wanted
END
	all=$(get "servicePrincipals/$1/appRoleAssignments" 'value[].id')
	for has in $all; do
		case $given in
		*" $has "*) ;;
		*) say 'too many' "an app role that no source needs; remove it with: az rest --method DELETE --resource $graph --url $graph/v1.0/servicePrincipals/$1/appRoleAssignments/$has" ;;
		esac
	done
}

# find_application: sets object (directory id) and client_id of the application; empty where it is not there.
find_application() {
	if [ -n "$client_id" ]; then
		object=$(get "applications?\$filter=appId%20eq%20'$client_id'&\$select=id" 'value[0].id')
		[ -n "$object" ] || die "--client-id: tenant $tenant has no application $client_id of its own"
		return
	fi
	filter="applications?\$filter=displayName%20eq%20'$(printf '%s' "$name" | sed 's/ /%20/g')'&\$select=id,appId"
	several=$(get "$filter" 'length(value)')
	[ "$several" -le 1 ] || die "several applications are called $name: say which by --client-id"
	object=$(get "$filter" 'value[0].id')
	client_id=$(get "$filter" 'value[0].appId')
}

# asked QUERY: items of what the application asks for already, as JSON without the brackets.
asked() {
	got=$(directory rest --method GET --resource "$graph" --url "$graph/v1.0/applications/$object?\$select=requiredResourceAccess" --query "$1" --output json) || die "reading the application failed"
	printf '%s' "$got" | tr -d '\n' | sed 's/^ *\[ *//; s/ *\] *$//; s/^null$//'
}

# required: what the application asks an administrator of another tenant to consent to: what it asked before, and
# the roles of the sources.
required() {
	others=''
	list=''
	for api in $(printf '%s\n' "$wanted" | cut -f 1 | sort -u); do
		others="$others && resourceAppId!='$api'"
		ours=''
		rest=''
		resource=$(principal_of "$api")
		for role in $(printf '%s\n' "$wanted" | awk -F '\t' -v api="$api" '$1 == api { print $2 }'); do
			id=$(role_id "$resource" "$role")
			rest="$rest && id!='$id'"
			ours="$ours,{\"id\":\"$id\",\"type\":\"Role\"}"
		done
		kept=$(asked "requiredResourceAccess[?resourceAppId=='$api'].resourceAccess[] | [?${rest# && }]")
		list="$list,{\"resourceAppId\":\"$api\",\"resourceAccess\":[${kept:+$kept,}${ours#,}]}"
	done
	kept=$(asked "requiredResourceAccess[?${others# && }]")
	printf '[%s%s]' "${kept:+$kept,}" "${list#,}"
}

# for_other_tenants: an application of one tenant cannot be taken in by another.
for_other_tenants() {
	[ "$audience" = AzureADMultipleOrgs ] || return 0
	[ "$(get "applications/$object?\$select=signInAudience" signInAudience)" = AzureADMyOrg ] || return 0
	send "$developer" PATCH "applications/$object" "{\"signInAudience\":\"$audience\"}" >/dev/null
	say changed 'the application may be taken in by other tenants'
}

need_vault() {
	[ -n "$vault" ] || die "--vault is needed: the vault that keeps the $credential"
	[ -n "$open_vault" ] || return 0
	was_open=$(az keyvault show --name "$vault" --query properties.publicNetworkAccess --output tsv) || die "reading vault $vault failed; it takes the role Reader there"
	if [ "$was_open" != Disabled ]; then # it is as whoever runs the app wants it
		open_vault=
		return 0
	fi
	trap 'close_vault' EXIT
	trap 'exit 130' INT TERM HUP # a shell that ends by a signal runs no other trap
	az keyvault update --name "$vault" --public-network-access Enabled --default-action Allow --output none || die "opening vault $vault failed; it takes the role Contributor there"
	say opened "vault $vault, closed again at the end"
	tries=0
	until az keyvault secret list --vault-name "$vault" --query 'length(@)' --output tsv >/dev/null; do # the change takes a moment
		tries=$((tries + 1))
		[ "$tries" -lt 12 ] || die "vault $vault stays closed to us; it takes the role Key Vault Secrets Officer, too"
		sleep "${PERMISSIONS_PAUSE-10}"
	done
}

close_vault() {
	rm -rf "${folder-}"
	[ -z "$open_vault" ] || az keyvault update --name "$vault" --public-network-access Disabled --default-action Deny --output none || printf 'permissions: CLOSE THE VAULT: az keyvault update --name %s --public-network-access Disabled --default-action Deny\n' "$vault" >&2
}

# stored QUERY: of the vault's secret; nothing where there is none.
stored() {
	got=$(az keyvault secret list --vault-name "$vault" --query "[?name=='$secret_name'] | [0].$1" --output tsv) ||
		die "reading vault $vault failed; it takes the role Key Vault Secrets Officer there, and a vault without public access takes --open-vault"
	[ "$got" = None ] || printf '%s' "$got"
}

# after DAYS: that many days from today, as 2026-11-27T00:00:00Z.
after() {
	date -u '+%Y %m %d' | awk -v add="$1" '{
		y = $1; m = $2 + 0; d = $3 + add
		for (;;) {
			long = m == 2 ? (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) ? 29 : 28) : m == 4 || m == 6 || m == 9 || m == 11 ? 30 : 31
			if (d <= long) break
			d -= long
			if (++m > 12) { m = 1; y++ }
		}
		printf "%04d-%02d-%02dT00:00:00Z", y, m, d
	}'
}

# new_secret: made, and stored by a file that only we can read, so that no list of processes and no log shows it.
new_secret() {
	until=$(after "$days")
	folder=$(mktemp -d)
	trap 'close_vault' EXIT
	umask 077
	send "$developer" POST "applications/$object/addPassword" "{\"passwordCredential\":{\"displayName\":\"Defender2ADX\",\"endDateTime\":\"$until\"}}" '[keyId, secretText]' >"$folder/answer"
	key_id=$(sed -n 1p "$folder/answer")
	sed -n 2p "$folder/answer" | tr -d '\n' >"$folder/secret"
	[ -s "$folder/secret" ] || die "the directory gave no secret"
	az keyvault secret set --vault-name "$vault" --name "$secret_name" --file "$folder/secret" --encoding utf-8 --expires "$until" --tags "application=$client_id" "key=$key_id" --output none ||
		die "storing the secret failed; it takes the role Key Vault Secrets Officer on vault $vault. Remove the secret that was made: az rest --method POST --resource $graph --url $graph/v1.0/applications/$object/removePassword --body '{\"keyId\":\"$key_id\"}'"
	rm -rf "$folder"
	say stored "secret $secret_name in vault $vault, valid until ${until%T*}"
}

# new_certificate: made in the vault, so that its key passes through nobody's hands. It does not renew itself: the
# application would not know the new one.
new_certificate() {
	months=$(((days + 29) / 30))
	policy=$(printf '{"issuerParameters":{"name":"Self"},"lifetimeActions":[{"action":{"actionType":"EmailContacts"},"trigger":{"daysBeforeExpiry":20}}],"keyProperties":{"exportable":true,"keySize":3072,"keyType":"RSA","reuseKey":false},"secretProperties":{"contentType":"application/x-pkcs12"},"x509CertificateProperties":{"keyUsage":["digitalSignature"],"subject":"CN=Defender2ADX","validityInMonths":%s}}' "$months")
	az keyvault certificate create --vault-name "$vault" --name "$certificate_name" --policy "$policy" --output none ||
		die "making the certificate failed; it takes the role Key Vault Certificates Officer on vault $vault"
	say stored "certificate $certificate_name in vault $vault, valid for $months months"
}

# trust_certificate: the application accepts the newest certificate of the vault, besides those that it accepts already.
trust_certificate() {
	public=$(az keyvault certificate show --vault-name "$vault" --name "$certificate_name" --query cer --output tsv) || die "reading the certificate failed"
	accepted=$(directory rest --method GET --resource "$graph" --url "$graph/v1.0/applications/$object?\$select=keyCredentials" --query keyCredentials --output json) || die "reading the application failed"
	case $accepted in *"$public"*) say there 'certificate of the application' && return ;; esac
	new=$(printf '{"type":"AsymmetricX509Cert","usage":"Verify","displayName":"Defender2ADX","key":"%s"}' "$public")
	case $(printf '%s' "$accepted" | tr -d ' \n') in
	'[]' | null | '') accepted="[$new]" ;;
	*) accepted="$(printf '%s' "$accepted" | tr -d '\n' | sed 's/ *\]$//'),$new]" ;;
	esac
	send "$developer" PATCH "applications/$object" "{\"keyCredentials\":$accepted}" >/dev/null
	say granted 'certificate of the application'
}

# retire_certificates: the application accepts the newest certificate of the vault alone, beside those of other programs.
retire_certificates() {
	public=$(az keyvault certificate show --vault-name "$vault" --name "$certificate_name" --query cer --output tsv) || die "reading the certificate failed; nothing was removed"
	old=$(get "applications/$object?\$select=keyCredentials" "length(keyCredentials[?displayName=='Defender2ADX' && key!='$public'])")
	[ "$old" != 0 ] || return 0
	[ "$(get "applications/$object?\$select=keyCredentials" "length(keyCredentials[?key=='$public'])")" != 0 ] || die "the application does not accept the certificate of the vault: run rotate or grant first; nothing was removed"
	left=$(directory rest --method GET --resource "$graph" --url "$graph/v1.0/applications/$object?\$select=keyCredentials" --query "keyCredentials[?displayName!='Defender2ADX' || key=='$public']" --output json) || die "reading the application failed"
	send "$developer" PATCH "applications/$object" "{\"keyCredentials\":$(printf '%s' "$left" | tr -d '\n')}" >/dev/null
	say removed "$old certificates of the application"
}

trust_identity() {
	issuer="$login/${identity_tenant:-$tenant}/v2.0"
	path="applications/$object/federatedIdentityCredentials"
	has=$(get "$path" "value[?subject=='$principal_id' && issuer=='$issuer'].id | [0]")
	if [ -n "$has" ]; then
		say there "trust in managed identity $principal_id"
		return
	fi
	send "$developer" POST "$path" "{\"name\":\"defender2adx-$principal_id\",\"issuer\":\"$issuer\",\"subject\":\"$principal_id\",\"audiences\":[\"$exchange\"]}" >/dev/null
	say granted "trust in managed identity $principal_id"
}

# wait_for PRINCIPAL: a new identity takes minutes to be seen in the directory.
wait_for() {
	tries=0
	while :; do
		seen=$(get "servicePrincipals?\$filter=id%20eq%20'$1'&\$select=id" 'value[0].id')
		[ -z "$seen" ] || return 0
		tries=$((tries + 1))
		[ "$tries" -lt 30 ] || die "tenant $tenant has no service principal $1; is it the object id of an identity of this tenant?"
		sleep "${PERMISSIONS_PAUSE-10}"
	done
}

case $command in
grant)
	if [ "$credential" = managed-identity ]; then
		[ -n "$principal_id" ] || die "--principal-id is needed: the object id of the managed identity (output APP_PRINCIPAL_ID of the template)"
		wait_for "$principal_id"
		grant_roles "$principal_id"
		say next 'azd env set DEFENDER_CREDENTIAL managed-identity'
		exit 0
	fi
	find_application
	if [ -z "$object" ]; then
		client_id=$(send "$developer" POST applications "{\"displayName\":\"$name\",\"signInAudience\":\"$audience\"}" appId)
		object=$(get "applications?\$filter=appId%20eq%20'$client_id'&\$select=id" 'value[0].id')
		say made "application $name, $client_id"
	else
		say there "application $client_id"
		for_other_tenants
	fi
	access=$(required)
	send "$developer" PATCH "applications/$object" "{\"requiredResourceAccess\":$access}" >/dev/null
	principal=$(principal_of "$client_id")
	if [ "$audience" = AzureADMultipleOrgs ]; then
		say next "signed in to each tenant whose Defender is read (az login --tenant TENANT, or a second login by --directory-login): sh infra/permissions.sh consent --client-id $client_id --cloud $cloud --sources '$sources'"
	else
		grant_roles "$principal"
	fi
	case $credential,$vault in
	secret, | certificate,)
		say later "the $credential has no vault yet: deploy, then run this again with --vault and --client-id $client_id"
		;;
	secret,*)
		need_vault
		of=$(stored tags.application)
		ends=$(stored attributes.expires)
		if [ "$of" = "$client_id" ] && expr "x$ends" \> "x$(after 30)" >/dev/null; then
			say there "secret $secret_name in vault $vault, valid until ${ends%T*}"
		else
			new_secret
		fi
		;;
	certificate,*)
		need_vault
		has=$(az keyvault certificate list --vault-name "$vault" --query "[?name=='$certificate_name'] | [0].id" --output tsv) || die "reading vault $vault failed; it takes the role Key Vault Certificates Officer there, and a vault without public access takes --open-vault"
		[ -n "$has" ] || new_certificate
		trust_certificate
		;;
	federated,*)
		if [ -n "$principal_id" ]; then
			trust_identity
		else
			say later "the managed identity is not there yet: set what stands below, deploy, then run this again with --principal-id and --client-id $client_id"
		fi
		;;
	esac
	whose=" && azd env set DEFENDER_TENANT_ID $tenant"
	[ "$audience" = AzureADMyOrg ] || whose='' # consent prints it
	say next "azd env set DEFENDER_CREDENTIAL $credential && azd env set DEFENDER_CLIENT_ID $client_id$whose"
	;;
consent)
	[ -n "$client_id" ] || die "--client-id is needed: the application that this tenant takes in"
	principal=$(principal_of "$client_id")
	grant_roles "$principal"
	say next "azd env set DEFENDER_TENANT_ID $tenant"
	;;
rotate)
	find_application
	[ -n "$object" ] || die "there is no application $name; run grant first"
	case $credential in
	secret | certificate) need_vault ;;
	*) die "--credential: $credential has nothing to rotate" ;;
	esac
	case $credential in
	secret)
		new_secret
		say next "the handler takes the new secret when the old one is refused; then run: sh infra/permissions.sh retire --client-id $client_id --vault $vault$named"
		;;
	certificate)
		new_certificate
		trust_certificate
		say next "a day later run: sh infra/permissions.sh retire --credential certificate --client-id $client_id --vault $vault"
		;;
	esac
	;;
retire)
	case $credential in secret | certificate) ;; *) die "--credential: $credential has nothing to retire" ;; esac
	find_application
	[ -n "$object" ] || die "there is no application $name"
	need_vault
	if [ "$credential" = certificate ]; then
		retire_certificates
		exit 0
	fi
	live=$(stored tags.key)
	[ -n "$live" ] || die "secret $secret_name of vault $vault does not say which it is; nothing was removed"
	keys=$(get "applications/$object?\$select=passwordCredentials" "passwordCredentials[?displayName=='Defender2ADX'].keyId")
	for key in $keys; do
		[ "$key" != "$live" ] || continue
		send "$developer" POST "applications/$object/removePassword" "{\"keyId\":\"$key\"}" >/dev/null
		say removed "secret $key of the application"
	done
	;;
esac
