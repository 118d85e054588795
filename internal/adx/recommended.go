package adx

import (
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/infra/kql"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// recommendedLine is a source in the recommended configuration.
var recommendedLine = regexp.MustCompile(`(?m)^\s*'(\w+)', '(\w+)', '(\w*)', (true|false),?$`)

var recommended = sync.OnceValue(func() map[string]plan.Row {
	text, err := kql.Files.ReadFile("configuration-recommended.kql")
	if err != nil {
		panic(err) // it is part of the program
	}
	rows := map[string]plan.Row{}
	for _, m := range recommendedLine.FindAllStringSubmatch(string(text), -1) {
		rows[strings.ToLower(m[1])] = plan.Row{
			SourceTable: m[1], DestinationTable: m[1] + "Raw", WatermarkColumn: "None",
			LastRefreshedTime: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), LoadType: m[2], Frequency: m[3], IsActive: m[4] == "true",
		}
	}
	return rows
})

// Recommended returns the row that the recommended configuration has for a source, in
// any letter case.
func Recommended(source string) (plan.Row, bool) {
	row, ok := recommended()[strings.ToLower(source)]
	return row, ok
}
