#!/bin/sh
# azd runs this before it provisions: what cannot work is refused, with the command that
# mends it. The values of the azd environment are in the environment.
set -eu

faults=0
refuse() {
	faults=$((faults + 1))
	printf 'preprovision: %s\n              %s\n' "$1" "$2" >&2
}

plan=${HOSTING_PLAN:-flex} credential=${DEFENDER_CREDENTIAL:-secret}
. "$(dirname "$0")/../cloud.sh"
cloud_of "${DEFENDER_CLOUD:-global}" || {
	refuse "DEFENDER_CLOUD: $cloud" "azd env set DEFENDER_CLOUD global (or gcc, gcc-high, dod)"
	cloud=global azure=AzureCloud
}
directory=$azure # the Azure cloud that the tenant of Defender is in

case ${ADX_MODE:-new} in
new) ;;
existing)
	case ${ADX_CLUSTER_ID-} in
	/subscriptions/*/resourceGroups/*/providers/Microsoft.Kusto/clusters/*) ;;
	*) refuse "ADX_MODE is existing and ADX_CLUSTER_ID is no resource id of a cluster" "azd env set ADX_CLUSTER_ID \$(az resource show --resource-type Microsoft.Kusto/clusters --resource-group <group> --name <cluster> --query id --output tsv)" ;;
	esac
	;;
eventhouse)
	[ -n "${EVENTHOUSE_QUERY_URL-}" ] || refuse "ADX_MODE is eventhouse and EVENTHOUSE_QUERY_URL is not set" "azd env set EVENTHOUSE_QUERY_URL https://<name>.kusto.fabric.microsoft.com (Eventhouse, Details, Query URI)"
	;;
*) refuse "ADX_MODE is $ADX_MODE" "azd env set ADX_MODE new (or existing, or eventhouse)" ;;
esac

case $credential in
managed-identity)
	[ -z "${DEFENDER_TENANT_ID-}" ] || [ "$DEFENDER_TENANT_ID" = "${AZURE_TENANT_ID:-$DEFENDER_TENANT_ID}" ] ||
		refuse "a managed identity reads Defender of its own tenant alone, and DEFENDER_TENANT_ID is another than the subscription's" "azd env set DEFENDER_CREDENTIAL federated (docs/permissions.md)"
	;;
secret | certificate | federated)
	several='' # a federated application is of the identity's tenant, and Defender may be in another
	[ "$credential" != federated ] || [ -z "${DEFENDER_TENANT_ID-}" ] || [ "$DEFENDER_TENANT_ID" = "${AZURE_TENANT_ID:-$DEFENDER_TENANT_ID}" ] || several=' --multi-tenant'
	[ -n "${DEFENDER_CLIENT_ID-}" ] || refuse "DEFENDER_CLIENT_ID is not set, and the handler would not start: $credential is of an application" "sh infra/permissions.sh grant --credential $credential --cloud $cloud --sources '${DEFENDER_API:-graph}${DEFENDER_SOURCES:+ $DEFENDER_SOURCES}'$several, which registers one and prints the id to set; or azd env set DEFENDER_CREDENTIAL managed-identity"
	;;
*) refuse "DEFENDER_CREDENTIAL is $credential, which is none for the app in Azure" "azd env set DEFENDER_CREDENTIAL managed-identity (or secret, certificate, federated)" ;;
esac

# A timer that ticks rarer than the alert waits would sound it always.
schedule=${MIGRATION_SCHEDULE:-0 0 * * * *} heartbeat=${HEARTBEAT_HOURS:-3}
case $heartbeat in *[!0-9]*) refuse "HEARTBEAT_HOURS is $heartbeat" "azd env set HEARTBEAT_HOURS 3 (0 to 23)" && heartbeat=0 ;; esac
if gap=$(printf '%s\n' "$schedule" | awk -f "$(dirname "$0")/longest-gap.awk"); then
	minutes=$((gap % 3600 / 60)) hours=$((gap / 3600))
	if [ "$heartbeat" -gt 0 ] && [ $((heartbeat * 3600)) -le "$gap" ]; then
		better=$((hours + 1))
		[ "$better" -le 23 ] || better=0 # rarer than the alert can look back
		refuse "MIGRATION_SCHEDULE ($schedule) leaves up to $hours h $minutes min between two ticks, and the alert on a missing tick waits $heartbeat hours" "azd env set HEARTBEAT_HOURS $better (0 leaves the alert out)"
	fi
else
	refuse "MIGRATION_SCHEDULE ($schedule) is no schedule of six cron fields that ever ticks" "azd env set MIGRATION_SCHEDULE '0 0 * * * *' (second minute hour day month weekday, UTC)"
fi

# The rest is asked of Azure, by the CLI.
if ! command -v az >/dev/null || ! az account show --output none 2>/dev/null; then
	echo "preprovision: not looked at what Azure knows: az is not there or not signed in (az login)" >&2
else
	azure=$(az cloud show --query name --output tsv)
	case $directory,$credential in
	"$azure",*) ;;
	*,managed-identity | *,federated)
		refuse "an identity of $azure has no token for Defender of the cloud $cloud" "azd env set DEFENDER_CREDENTIAL secret"
		;;
	esac
	if [ "$azure" = AzureUSGovernment ] && [ "$plan" = flex ]; then
		refuse "$azure has no Flex Consumption" "azd env set HOSTING_PLAN premium"
	fi
	if [ "${PRIVATE_NETWORK:-false}" = true ] && [ "$plan" = flex ]; then
		state=$(az provider show --namespace Microsoft.App --query registrationState --output tsv)
		[ "$state" = Registered ] || refuse "Flex Consumption in a network needs the resource provider Microsoft.App, which is not registered" "az provider register --namespace Microsoft.App --wait"
	fi
	# A development cluster stops itself after some idle days, and a stopped one takes no change.
	clusters=''
	if [ "${ADX_MODE:-new}" = existing ]; then
		clusters=${ADX_CLUSTER_ID-}
	elif [ "${ADX_MODE:-new}" = new ] && [ -n "${AZURE_RESOURCE_GROUP-}" ]; then
		clusters=$(az resource list --resource-group "$AZURE_RESOURCE_GROUP" --resource-type Microsoft.Kusto/clusters --query '[].id' --output tsv 2>/dev/null) || clusters='' # no group yet
	fi
	for id in $clusters; do
		state=$(az resource show --ids "$id" --query properties.state --output tsv) || {
			refuse "cluster $id cannot be read" "az login with an account that may, or correct ADX_CLUSTER_ID"
			continue
		}
		[ "$state" != Stopped ] || refuse "cluster ${id##*/} is stopped" "az resource invoke-action --action start --ids $id"
	done
	# A vault deleted within 90 days keeps its name, which the same environment would take again.
	if [ -n "${AZURE_ENV_NAME-}" ] && [ -n "${AZURE_RESOURCE_GROUP-}" ]; then
		deleted=$(az keyvault list-deleted --resource-type vault --query "[?properties.tags.\"azd-env-name\"=='$AZURE_ENV_NAME' && contains(properties.vaultId, '/resourceGroups/$AZURE_RESOURCE_GROUP/')].name" --output tsv 2>/dev/null) || deleted=''
		for name in $deleted; do
			refuse "vault $name of this environment was deleted and keeps its name for 90 days" "az keyvault recover --name $name, or azd env new <another name>"
		done
	fi
fi

[ "$faults" -eq 0 ] || exit 1
