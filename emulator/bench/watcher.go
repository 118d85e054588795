package bench

import (
	"encoding/json"

	"github.com/defender2adx/defender2adx/emulator/funchost"
)

// watcher follows the handler's log. The host calls it from one goroutine.
type watcher struct {
	tables int // that still have something to copy
	rows   int64
	done   chan int64  // rows, once no table has any left
	failed chan string // why a table's invocation failed
}

func (f *watcher) line(l funchost.Line) {
	var r struct {
		Level, Msg, Status, Error string
		Rows                      int64
		More                      bool
	}
	if json.Unmarshal([]byte(l.Text), &r) != nil {
		return
	}
	switch {
	case r.Msg == "run ended" && r.Status != "Success":
		send(f.failed, "the run ended with status "+r.Status)
	case r.Msg == "run ended":
		f.rows += r.Rows
		if !r.More {
			f.tables--
		}
		if f.tables == 0 {
			send(f.done, f.rows)
		}
	case r.Level == "ERROR":
		send(f.failed, r.Msg+": "+r.Error)
	}
}

// send never keeps the host waiting.
func send[T any](to chan<- T, v T) {
	select {
	case to <- v:
	default:
	}
}
