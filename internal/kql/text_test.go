package kql_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/kql"
)

func TestString_IsALiteral(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "abc", `"abc"`},
		{"quotes and backslashes", `C:\temp "x" 'y'`, `"C:\\temp \"x\" 'y'"`},
		{"line ends", "a\r\nb\tc", `"a\r\nb\tc"`},
		{"control characters", "a\x00b\x7f", `"a\u0000b\u007f"`},
		{"above U+FFFF stays as it is", "😀", `"😀"`},
		{"invalid bytes become the replacement character", "a\xffb", "\"a\uFFFDb\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := kql.String(tt.in); got != tt.want {
				t.Errorf("String(%q) = %s, want %s", tt.in, got, tt.want)
			}
		})
	}
}

func TestName_IsQuoted(t *testing.T) {
	tests := []struct{ in, want string }{
		{"DeviceInfo", `['DeviceInfo']`},
		{"where", `['where']`},
		{"a'] | take 1 //", `['a\'] | take 1 //']`},
	}
	for _, tt := range tests {
		if got := kql.Name(tt.in); got != tt.want {
			t.Errorf("Name(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestDatetime_IsUTCByTicks(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.FixedZone("", 3600))
	if got, want := kql.Datetime(at), "datetime(2026-01-02T02:04:05.1234567Z)"; got != want {
		t.Errorf("Datetime = %s, want %s", got, want)
	}
	if got, want := kql.Datetime(time.Time{}), "datetime(null)"; got != want {
		t.Errorf("Datetime(zero) = %s, want %s", got, want)
	}
}

func TestSeconds_AreRoundedUp(t *testing.T) {
	if got, want := kql.Seconds(1500*time.Millisecond), "2s"; got != want {
		t.Errorf("Seconds = %s, want %s", got, want)
	}
}
