package engine

import (
	"net/netip"
	"net/url"
	"strings"
)

func addNetwork(m map[string]builtin) {
	m["ipv4_is_private"] = builtin{min: 1, max: 1, types: "s", typ: TypeBool, call: func(a []any) any {
		p, ok := ipv4Prefix(text(a[0]))
		if !ok {
			return nil
		}
		return p.Addr().IsPrivate()
	}}
	m["ipv4_is_in_range"] = builtin{min: 2, max: 2, types: "s", typ: TypeBool, call: func(a []any) any {
		p, ok := ipv4Prefix(text(a[0]))
		r, ok2 := ipv4Prefix(text(a[1]))
		if !ok || !ok2 {
			return nil
		}
		return r.Contains(p.Addr())
	}}
	m["ipv4_is_in_any_range"] = builtin{min: 2, max: -1, types: "s", typ: TypeBool, call: func(a []any) any {
		p, ok := ipv4Prefix(text(a[0]))
		if !ok {
			return nil
		}
		for _, list := range a[1:] {
			for _, e := range elements(list) {
				if r, ok := ipv4Prefix(text(e)); ok && r.Contains(p.Addr()) {
					return true
				}
			}
		}
		return false
	}}
	m["parse_urlquery"] = builtin{min: 1, max: 1, types: "s", typ: TypeDynamic, call: func(a []any) any {
		params := &Bag{}
		for _, pair := range strings.Split(text(a[0]), "&") {
			if k, v, ok := strings.Cut(pair, "="); ok {
				if dec, err := url.QueryUnescape(v); err == nil {
					v = dec
				}
				params.Set(k, v)
			}
		}
		out := &Bag{}
		out.Set("Query Parameters", params)
		return out
	}}
}

// ipv4Prefix reads a.b.c.d or a.b.c.d/n.
func ipv4Prefix(s string) (netip.Prefix, bool) {
	if !strings.Contains(s, "/") {
		s += "/32"
	}
	p, err := netip.ParsePrefix(strings.TrimSpace(s))
	return p, err == nil && p.Addr().Is4()
}
