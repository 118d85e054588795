// Package kql carries the KQL files of this folder, so that `handler setup` runs
// exactly what a person would run by hand. It holds nothing else.
package kql

import "embed"

// Files holds the scripts, by their names in this folder.
//
//go:embed schema.kql tables.kql takeover.kql functions.kql views.kql configuration-original.kql configuration-recommended.kql
var Files embed.FS
