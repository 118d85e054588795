#!/bin/sh
# azd runs this after it provisioned, with the outputs of the template in the environment:
# the database gets its tables and the app its roles there, with the rights of who runs
# it. It says what is left for others to do, and may be repeated (azd hooks run postprovision).
set -eu

say() { printf 'postprovision: %s\n' "$1"; }

: "${APP_CLIENT_ID:?is not set; the template was not deployed by azd}" "${ADX_CLUSTER_URL:?}" "${ADX_DATABASE:?}"

# A handler for this machine: given, built, or from a release, whose files lose the right to be run on their way.
handler=${HANDLER-}
if [ -n "$handler" ]; then
	case $handler in */*) ;; *) handler=./$handler ;; esac
	[ -f "$handler" ] || {
		say "HANDLER is $handler, which is not there" >&2
		exit 1
	}
	[ -x "$handler" ] || chmod +x "$handler"
fi
if [ -z "$handler" ] && command -v go >/dev/null; then
	mkdir -p build
	CGO_ENABLED=0 go build -o build/setup-handler ./handler
	handler=build/setup-handler
fi
if [ -z "$handler" ]; then
	say "there is no Go to build a handler with: take handler-<system>-<processor> of a release, azd env set HANDLER <its path>, then azd hooks run postprovision" >&2
	exit 1
fi

if ! az account show --output none 2>/dev/null; then
	say "tables and roles are made with your login: az login --tenant ${AZURE_TENANT_ID-}, then azd hooks run postprovision" >&2
	exit 1
fi
tenant=${AZURE_TENANT_ID:-$(az account show --query tenantId --output tsv)}

# The tenant of the settings without a name, which the template takes from the subscription where it is not given.
export DEFENDER_TENANT_ID="${DEFENDER_TENANT_ID:-$tenant}"
set -- setup --load "${SETUP_LOAD:-recommended}" --grant "$APP_CLIENT_ID;$tenant"
for reader in ${ADX_READERS-}; do
	set -- "$@" --reader "$reader"
done
# A new database is seen by the cluster after a moment.
tries=0
until ADX_CREDENTIAL=azure-cli "$handler" "$@"; do
	tries=$((tries + 1))
	if [ "$tries" -ge 3 ]; then
		say "the database is not ready; what it needs is said above. Then: azd hooks run postprovision" >&2
		exit 1
	fi
	sleep "${PERMISSIONS_PAUSE-20}"
done
# Further tenants have a configuration of their own.
for instance in $(printf '%s' "${DEFENDER_INSTANCES-}" | tr ',' ' '); do
	ADX_CREDENTIAL=azure-cli "$handler" setup --instance "$instance" --load "${SETUP_LOAD:-recommended}" || {
		say "what instance $instance needs is said above. Then: azd hooks run postprovision" >&2
		exit 1
	}
done

vault=$(printf '%s' "${KEY_VAULT_URL-}" | sed 's|^https://||; s|\..*||')
open=''
[ "${PRIVATE_NETWORK:-false}" != true ] || open=' --open-vault'
credential=${DEFENDER_CREDENTIAL:-secret}
. "$(dirname "$0")/../cloud.sh"
cloud_of "${DEFENDER_CLOUD:-global}" || {
	say "DEFENDER_CLOUD: $cloud" >&2
	exit 1
}
common="--cloud $cloud --sources '${DEFENDER_API:-graph}${DEFENDER_SOURCES:+ $DEFENDER_SOURCES}'"
defender=${DEFENDER_TENANT_ID:-$tenant}

# Defender in another cloud or tenant than the app is reached by a second login of the CLI.
login=''
if [ "$defender" != "$tenant" ] || [ "$(az cloud show --query name --output tsv)" != "$azure" ]; then
	login=" --directory-login \$HOME/.azure-defender"
	say "Defender is elsewhere than the app; sign in there beside the login that you have: (export AZURE_CONFIG_DIR=\$HOME/.azure-defender; az cloud set --name $azure && az login --tenant $defender)"
fi
case $credential in
managed-identity) say "left for a Privileged Role Administrator: sh infra/permissions.sh grant --credential managed-identity --principal-id $APP_PRINCIPAL_ID $common" ;;
federated)
	trust="sh infra/permissions.sh grant --credential federated --client-id ${DEFENDER_CLIENT_ID-} --principal-id $APP_PRINCIPAL_ID --identity-tenant $tenant $common"
	if [ "$defender" = "$tenant" ]; then
		say "left for a Privileged Role Administrator: $trust"
	else
		say "left, in the tenant of the app: $trust --multi-tenant"
		say "left, for a Privileged Role Administrator of the tenant of Defender: sh infra/permissions.sh consent --client-id ${DEFENDER_CLIENT_ID-} $common$login"
	fi
	;;
*)
	named=''
	case ${DEFENDER_SECRET_NAME:-defender-client-secret} in defender-client-secret) ;; *) named=" --secret-name $DEFENDER_SECRET_NAME" ;; esac
	say "left, unless it was done before: sh infra/permissions.sh grant --credential $credential --client-id ${DEFENDER_CLIENT_ID-} --vault $vault$named $common$login$open"
	;;
esac
say "if the first deployment is refused with InaccessibleStorageException, the roles are too young: azd deploy again in some minutes"
