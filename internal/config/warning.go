package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/address"
)

// prefixes begin the names that are the product's own.
var prefixes = []string{"DEFENDER_", "ADX_", "MIGRATION_", "KEY_VAULT_"}

// Warnings names settings that work but should be changed, and variables of
// environ ("NAME=value", as os.Environ gives them) that look like a setting and
// are none. It quotes no value.
func Warnings(getenv func(string) string, environ []string) []string {
	var out []string
	if _, err := instanceNames(getenv(instancesSetting)); err != nil {
		out = append(out, instancesSetting+": "+err.Error()+"; nothing is copied through it")
	}
	for _, instance := range instanceList(getenv) {
		name, api := source{getenv: getenv, instance: instance}.find("DEFENDER_API")
		warning := ""
		switch strings.ToLower(api) {
		case "m365d":
			warning = name + ": M365D is retired by Microsoft; the Defender for Endpoint API (mde) is used instead, which ends on 2027-02-01: change to graph"
		case "auto":
			warning = name + ": auto asks the Defender for Endpoint hunting API, which ends on 2027-02-01, until the application may ask Graph: grant it ThreatHunting.Read.All, and change to graph"
		case "mde", "mdatp":
			warning = name + ": the Defender for Endpoint hunting API ends on 2027-02-01: change to graph"
		}
		if warning != "" && !slices.Contains(out, warning) {
			out = append(out, warning)
		}
	}
	if getenv("MIGRATION_SCHEDULE") == "" {
		out = append(out, "MIGRATION_SCHEDULE: is not set; the Functions host runs without its timer and nothing ever ticks")
	} else if odd := oddSchedule(getenv("MIGRATION_SCHEDULE")); odd != "" {
		out = append(out, "MIGRATION_SCHEDULE: "+odd)
	}
	if strings.EqualFold(getenv("WEBSITE_SKU"), "Dynamic") {
		out = append(out, "WEBSITE_SKU: Dynamic is the Consumption plan, which allows no functionTimeout over 10 minutes: move the app to Flex Consumption, Premium or Dedicated, on Linux")
	}
	if strings.HasPrefix(hostOf(getenv("ADX_CLUSTER_URL")), ingestPrefix) {
		out = append(out, "ADX_CLUSTER_URL: is the ingestion address; queries go to the same host without "+ingestPrefix)
	}
	if ingest := getenv("ADX_INGEST_URL"); ingest != "" && !address.IsLoopbackURL(strings.TrimSpace(ingest)) && !strings.HasPrefix(hostOf(ingest), ingestPrefix) {
		out = append(out, "ADX_INGEST_URL: ingestion addresses begin with "+ingestPrefix+", this one does not; leave it out to have it derived")
	}
	out = append(out, adxUnread(getenv)...)
	return append(out, Unknown(environ)...)
}

// SetupWarnings is Warnings for whoever prepares a database, for which most settings need
// not be there: names that are none, and a schedule that would not tick as it is meant.
func SetupWarnings(getenv func(string) string, environ []string) []string {
	out := Unknown(environ)
	if text := getenv("MIGRATION_SCHEDULE"); text != "" {
		var read string
		if err := schedule(&read)(text); err != nil {
			out = append(out, "MIGRATION_SCHEDULE: "+err.Error())
		} else if odd := oddSchedule(text); odd != "" {
			out = append(out, "MIGRATION_SCHEDULE: "+odd)
		}
	}
	return out
}

const ingestPrefix = "ingest-"

func hostOf(raw string) string {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// Unknown names the variables with one of our prefixes, in any letter case, that
// are no setting, each with the setting that is spelled most like it. It quotes
// no value.
func Unknown(environ []string) []string {
	names := Names(func(name string) string {
		for _, variable := range environ {
			if n, value, _ := strings.Cut(variable, "="); n == name {
				return value
			}
		}
		return ""
	})
	var out []string
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		upper := strings.ToUpper(name)
		if slices.Contains(names, name) || !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(upper, p) }) {
			continue
		}
		text := name + ": is no setting and not read"
		nearest := slices.MinFunc(names, func(a, b string) int { return distance(upper, a) - distance(upper, b) })
		if distance(upper, nearest) <= len(nearest)/3 {
			text += fmt.Sprintf("; is %s meant?", nearest)
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// Names are the names of all settings, those of the instances too.
func Names(getenv func(string) string) []string {
	instances, _ := instanceNames(getenv(instancesSetting))
	var c Config
	var names []string
	for _, s := range Settings(&c) {
		names = append(names, s.Name)
		for _, i := range instances {
			if ofInstance(s.Name) {
				names = append(names, source{getenv: getenv, instance: i}.names(s.Name)...)
			}
		}
	}
	return names
}

// distance is how many letters must be put in, taken out or changed to make b of
// a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
