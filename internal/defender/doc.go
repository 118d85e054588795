// Package defender reads hunting tables from Microsoft Defender XDR: through
// Graph's runHuntingQuery by default, or through Defender for Endpoint's older
// advancedqueries/run, which ends on 2027-02-01.
//
// A call is one HTTP request and is never repeated here, with one exception: a
// refused token is asked for anew and the request sent a second time. Whether,
// when and how much smaller to try again is the caller's to decide, by the kind
// of the error: Wait, Unavailable, Split, Permanent (package fault). An error
// quotes what the service said, never rows and never tokens.
//
// Query text is made of constants and package kql alone. Instants go out on the
// 100 ns tick, and a window is (From, To] on both sides of the wire, so that the
// rows that are counted are the rows that are fetched.
package defender
