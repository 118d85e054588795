package hunting

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// What the list of changes allows. Source: Defender for Endpoint, delta export software
// vulnerabilities assessment.
const (
	changesBack    = 14 * 24 * time.Hour
	changesPage    = 50_000
	changesMaxPage = 200_000
	changesPeriod  = 6 * time.Hour // what sinceTime is rounded down to
)

// changes serves the changes of vulnerabilities since a time. A page that is asked for
// with $top names no next one.
func changes(c *call, o REST) (*document, *refusal) {
	q := c.r.URL.Query()
	invalid := func(format string, values ...any) (*document, *refusal) {
		return nil, &refusal{status: http.StatusBadRequest, mde: "InvalidInput", message: fmt.Sprintf(format, values...)}
	}
	size, from, topped := changesPage, 0, false
	for name, values := range q {
		value := values[0]
		n, err := strconv.Atoi(value)
		switch name {
		case "sinceTime":
		case "pageSize":
			if size = n; err != nil || n < 1 || n > changesMaxPage {
				return invalid("pageSize must be between 1 and %d.", changesMaxPage)
			}
		case "$top":
			if topped = true; err != nil || n < 1 {
				return invalid("Invalid value '%s' for $top query option found.", value)
			}
			size = n
		case "$skiptoken":
			plain, err := base64.RawURLEncoding.DecodeString(value)
			if from, _ = strconv.Atoi(strings.TrimPrefix(string(plain), "from=")); err != nil || from == 0 {
				return invalid("The $skiptoken is not valid.")
			}
		default:
			return invalid("The query parameter '%s' is not supported.", name)
		}
	}
	since, err := time.Parse(time.RFC3339Nano, q.Get("sinceTime"))
	now := c.s.o.Now().UTC()
	switch {
	case q.Get("sinceTime") == "":
		return nil, &refusal{status: http.StatusBadRequest, mde: "MissingRequiredParameter", message: "The parameter sinceTime is required."}
	case err != nil:
		return invalid("The parameter sinceTime is not a valid time.")
	case since.Before(now.Add(-changesBack)):
		return invalid("The parameter sinceTime must be within the last 14 days.")
	}
	if o.PageRows > 0 {
		size = min(size, o.PageRows)
	}
	since = since.UTC().Truncate(changesPeriod)
	var all [][]byte
	for _, row := range c.s.listed(tenant.Changes, from, o) {
		if at, ok := member(row, "eventTimestamp", dateKind); ok && !at.(time.Time).Before(since) && !at.(time.Time).After(now) {
			all = append(all, row)
		}
	}
	end := min(from+size, len(all))
	rows := all[min(from, len(all)):end]
	next := ""
	if end < len(all) && !topped {
		next = c.nextLink(o, "$skiptoken", base64.RawURLEncoding.EncodeToString([]byte("from="+strconv.Itoa(end))))
	}
	return &document{body: collection(contextOf("Collection(microsoft.windowsDefenderATP.api.DeltaAssetVulnerability)"), "", rows, next), rows: rows}, nil
}
