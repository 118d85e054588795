# Read by the scripts of this folder: the cloud of a Defender tenant by the names that DEFENDER_CLOUD takes.

# cloud_of NAME: sets cloud to global, gcc, gcc-high or dod, and azure to the Azure cloud that its directory is in; a region
# of the global cloud is global. Fails, with the reason in cloud, where nothing can be copied from there.
cloud_of() {
	case $(printf '%s' "$1" | tr '[:upper:]' '[:lower:]' | tr -d ' _-') in
	'' | global | public | com | worldwide | azurecloud | azurepublic | azurepubliccloud | us | eu | uk | au | swa | ina | aea) cloud=global ;;
	gcc | gccm | gccmoderate) cloud=gcc ;;
	gcchigh | gcch | l4 | usgov | usgovernment | azureusgovernment | azuregovernment | fairfax) cloud=gcc-high ;;
	dod | l5 | usdod) cloud=dod ;;
	cn | china | 21vianet | mooncake | azurechina | azurechinacloud) cloud='hunting is not offered in China' && return 1 ;;
	*) cloud="want global, gcc, gcc-high or dod, got $1" && return 1 ;;
	esac
	case $cloud in
	global | gcc) azure=AzureCloud ;;
	*) azure=AzureUSGovernment ;;
	esac
}
