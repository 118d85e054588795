// Package queries carries the saved queries of this folder, which the app copies like
// tables: see docs/config.md. It holds nothing else.
package queries

import "embed"

// Files holds the queries, by their names in this folder.
//
//go:embed *.kql
var Files embed.FS
