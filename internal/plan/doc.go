// Package plan decides what one run copies: it turns a table's configuration
// and the rows counted at the source into a window and its slices, and holds
// the records by which a run is remembered between invocations.
//
// It does no I/O and reads no clock; callers pass now. The slices of one plan
// are disjoint and together cover the window exactly once. All instants are UTC
// on Kusto's tick of 100 ns.
package plan
