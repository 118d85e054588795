// Package defender reads hunting tables from Microsoft Defender XDR: through
// Graph's runHuntingQuery by default, or through Defender for Endpoint's older
// advancedqueries/run, which ends on 2027-02-01.
//
// A call is one HTTP request, and each one goes through the caller's plan.Caller:
// also the second one after a refused token, which is forgotten, and the one that
// leaves out what the service would not count. Whether, when and how much smaller
// to try again is the caller's to decide, by the kind of the error: Wait,
// Unavailable, Split, Permanent (package fault; what means what is in package
// answer). An error begins with the service's name and quotes what it said, never
// rows and never tokens; what was being done, and to which table, is for the
// caller to say.
//
// Query text is made of constants and package kql alone. Instants go out on the
// 100 ns tick, and a window is (From, To] on both sides of the wire, so that the
// rows that are counted are the rows that are fetched.
package defender
