// Package address holds the rule by which an address is trusted with tokens and
// rows: https, and plain http only to this machine, where stand-ins run; and the
// address of the one stand-in that has a well-known one, the storage emulator.
package address

import (
	"net"
	"net/url"
	"strings"
)

// Trusted reports whether a URL is https, or http to this machine.
func Trusted(u *url.URL) bool {
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && IsLoopback(u.Hostname()))
}

// IsLoopback reports whether a host, without its port, can only be this machine.
// Names under .localhost are reserved for it (RFC 6761, section 6.3).
func IsLoopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// IsLoopbackURL is IsLoopback for the host of a URL; what is no URL is not.
func IsLoopbackURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && IsLoopback(u.Hostname())
}
