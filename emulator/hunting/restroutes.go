package hunting

import (
	"slices"
	"strings"
	"sync"

	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// routes are the REST calls by their path in lower case.
var routes = sync.OnceValue(func() map[string]route {
	all := map[string]route{}
	for _, e := range tenant.Exports() {
		all["/api/machines/"+strings.ToLower(e.Name)] = exportRoute(e)
	}
	return all
})

// Roles lists the app roles with which every list and file export of an API may be
// read, one for each.
func Roles(api API) []string {
	var roles []string
	for _, r := range routes() {
		if r.api == api {
			roles = append(roles, r.roles[0])
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}
