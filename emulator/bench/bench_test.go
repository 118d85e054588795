package bench

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
)

// The lines are for machines. That every measurement prints its own is shown by
// `make bench SHORT=1`, which fails where one prints another line or none.
func TestFigure_IsALineForMachines(t *testing.T) {
	var out bytes.Buffer
	b := &Bench{Out: &out}
	b.figure("endtoend", "1kb", "rows_s", 12345, "handler_share", 0.254)
	if got, want := out.String(), "bench: name=endtoend case=1kb rows_s=12345 handler_share=0.25\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMeasure_RefusesFiguresThatAreNotTheOnesPromised(t *testing.T) {
	tests := []struct {
		name    string
		lines   string
		refused bool
	}{
		{"as promised", "bench: name=calls case=1kb calls=3 ideal=2 of_ideal=1.50\n", false},
		{"a case where there is one alone", "bench: name=calls calls=3 ideal=2 of_ideal=1.50\n", false},
		{"nothing", "", true},
		{"another measurement's", "bench: name=quota case=1kb calls=3 ideal=2 of_ideal=1.50\n", true},
		{"a key less", "bench: name=calls case=1kb calls=3 ideal=2\n", true},
		{"another order", "bench: name=calls case=1kb ideal=2 calls=3 of_ideal=1.50\n", true},
		{"no number", "bench: name=calls case=1kb calls=3 ideal=2 of_ideal=NaN\n", true},
		{"a line of something else", "bench: name=calls case=1kb calls=3 ideal=2 of_ideal=1.50\npanic: no\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := checkLines("calls", tt.lines); (err != nil) != tt.refused {
				t.Errorf("%v, want refused %v", err, tt.refused)
			}
		})
	}
}

// What a process sends and receives through sockets is counted, each byte at either end.
func TestBytesMoved_CountsSockets(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	const sent = 1 << 20
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write(make([]byte, sent))
		_ = conn.Close()
	}()
	before, err := bytesMoved(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// Hidden from splice, which the count would not see and no TLS connection uses.
	n, err := io.Copy(io.Discard, struct{ io.Reader }{conn})
	if err != nil || n != sent {
		t.Fatal(n, err)
	}
	after, err := bytesMoved(os.Getpid())
	if moved := after - before; err != nil || moved < 2*sent || moved > 2*sent+64<<10 {
		t.Errorf("%d bytes moved of twice %d, %v", moved, sent, err)
	}
}
