// Package host speaks the wire format between the Azure Functions host and a
// custom handler: it decodes what a trigger sends, writes the only answers the
// host understands, runs invocations under a deadline of their own, and serves
// the port that the host hands out.
//
// It knows nothing of tables, queues or clouds, and it never logs a body.
//
// Every invocation that arrives is answered, once, with a JSON document: after a
// panic, past the deadline and when the work hangs, too. The host completes an
// invocation only when it has decoded a document, waits longer than the function
// time-out, and never says that it stopped waiting.
package host
