package tenant

import (
	"strconv"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// leanWriter writes narrow rows: of the columns below those that the table has,
// about 300 bytes together. Absent columns are null, as the service leaves them
// out.
func (w *world) leanWriter(known schema.Table, seed uint64) func(buf []byte, i int, at engine.Datetime) []byte {
	all := []struct {
		name string
		make maker
	}{
		{"Timestamp", eventTime},
		{"DeviceId", func(b []byte, x *row) []byte { return append(b, x.dev.idJSON...) }},
		{"DeviceName", func(b []byte, x *row) []byte { return append(b, x.dev.nameJSON...) }},
		{"ActionType", ownColumns(known.Name)["ActionType"]},
		{"RemoteIP", address},
		{"RemotePort", raw("443", "80", "53", "8443", "22", "null")},
		{"LocalPort", func(b []byte, x *row) []byte { return number(b, 49152+x.below(16383)) }},
		{"Protocol", text("Tcp", "Udp")},
		{"InitiatingProcessFileName", func(b []byte, x *row) []byte { return append(b, x.ini.fileJSON...) }},
		{"InitiatingProcessId", upTo(30000)},
		{"AccountName", func(b []byte, x *row) []byte { return append(b, x.user.nameJSON...) }},
		{"ReportId", func(b []byte, x *row) []byte {
			if x.i%4093 == 0 {
				return strconv.AppendUint(b, 1<<53+uint64(x.i)|1, 10)
			}
			return number(b, x.i%100_000)
		}},
		{"AdditionalFields", raw(`"{\"direction\":\"Out\"}"`, `""`, `null`)},
	}
	var cols []column
	for _, c := range all {
		declared, ok := known.Column(c.name)
		if !ok {
			continue
		}
		if c.make == nil {
			c.make = text("Observed")
		}
		cols = append(cols, column{key: `,"` + c.name + `":`, make: fitting(c.make, declared)})
	}
	return func(buf []byte, i int, at engine.Datetime) []byte {
		x := row{w: w, i: i, state: mix(seed ^ uint64(i))}
		x.begin(at)
		start := len(buf)
		for k := range cols {
			buf = append(buf, cols[k].key...)
			buf = cols[k].make(buf, &x)
		}
		if len(cols) == 0 {
			return append(buf, '{', '}')
		}
		buf[start] = '{'
		return append(buf, '}')
	}
}
