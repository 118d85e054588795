// Package rowpath turns the JSON body of a hunting answer into gzip of
// newline-delimited JSON, one row a line, while it streams by.
//
// It changes nothing inside a row but white space between tokens, members whose
// name contains "@odata.", and values of rows too large for the destination:
// numbers, escapes, member order, repeated members and invalid UTF-8 are passed
// through byte for byte. It knows neither HTTP nor tables and never retries.
//
// A nil error means that the body was one complete JSON object and every row of
// it was written; anything else, a cut body above all, is an error. Memory is
// two buffers of fixed size, grown only for a row that is larger.
package rowpath
