package rowpath

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

func zipped(t *testing.T, text string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	if _, err := io.WriteString(zw, text); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestRecut_CutsOnlyWhatIsLonger(t *testing.T) {
	const limit = 300
	long := strings.Repeat("y", bufferBytes) // beyond one buffer
	rows := []string{
		`{"N":1,"V":"short"}`,
		`{"N":2,"V":"` + long + `"}`,
		`{"N":3,"V":"` + strings.Repeat("z", limit-len(`{"N":3,"V":""}`)) + `"}`, // as long as it may be
		`{"N":4,"V":"` + long + `",` + mark + `}`,                                // cut before, to a higher limit
	}
	var out bytes.Buffer
	res, err := Recut(&out, zipped(t, strings.Join(rows, "\n")+"\n"), limit)
	if err != nil {
		t.Fatal(err)
	}
	zr, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(got) != 4 || res.Rows != 4 || res.Cut != 2 || res.Bytes != int64(len(text)) {
		t.Fatalf("%d rows, %+v; want 4 of which 2 are cut", len(got), res)
	}
	if got[0] != rows[0] || got[2] != rows[2] {
		t.Error("a row that fits was changed")
	}
	for _, i := range []int{1, 3} {
		var row map[string]any
		if err := json.Unmarshal([]byte(got[i]), &row); err != nil || row["_truncated"] != true || row["N"] != float64(i+1) {
			t.Errorf("row %d: %.80s, %v", i, got[i], err)
		}
		if len(got[i]) > limit || strings.Count(got[i], mark) != 1 {
			t.Errorf("row %d has %d bytes and %d marks", i, len(got[i]), strings.Count(got[i], mark))
		}
	}
}

func TestRecut_DamageIsAnError(t *testing.T) {
	whole := zipped(t, "{\"A\":1}\n{\"A\":2}\n").Bytes()
	for name, src := range map[string]io.Reader{
		"no gzip":      strings.NewReader("{}\n"),
		"cut off":      bytes.NewReader(whole[:len(whole)-9]),
		"half a row":   zipped(t, "{\"A\":1}\n{\"A\""),
		"not a row":    zipped(t, strings.Repeat("x", 400)+"\n"),
		"too long row": zipped(t, `{"A":[`+strings.Repeat("1,", 400)+"1]}"),
	} {
		if res, err := Recut(io.Discard, src, 300); err == nil {
			t.Errorf("%s: %+v and no error", name, res)
		}
	}
	var write *WriteError
	if _, err := Recut(failing{}, bytes.NewReader(whole), 300); !errors.As(err, &write) {
		t.Errorf("a destination that fails: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }
