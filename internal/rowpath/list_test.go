package rowpath_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// A page of a list has its rows in a member of its own and says where it goes on.
func TestCopy_ReadsAPageOfAList(t *testing.T) {
	const page = `{"@odata.context":"c","value":[ {"id":"a", "@odata.type":"#x"}, {"id":"twin"}, {"id":"b"} ],"results":[{"id":"no row"}],"@odata.nextLink":"https:\/\/host\/list?$skip=3"}`
	var asked []string
	var out bytes.Buffer
	res, err := rowpath.Copy(&out, strings.NewReader(page), rowpath.Options{Plain: true, Member: "value", Keep: func(row []byte) bool {
		asked = append(asked, string(row))
		return string(row) != `{"id":"twin"}`
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "{\"id\":\"a\"}\n{\"id\":\"b\"}\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	if res.Rows != 2 || res.Read != 3 || res.Bytes != int64(out.Len()) || !res.Found || res.Next != "https://host/list?$skip=3" || len(asked) != 3 {
		t.Errorf("result %+v after %q", res, asked)
	}
}

// What an object is may stand in its annotation alone, as in the evidence of an alert.
func TestCopy_KeepsTheTypesOfObjects(t *testing.T) {
	const row = `{"id":"a","@odata.etag":"x","evidence":[{"@odata.type":"#graph.deviceEvidence","n@odata.type":"#Int64","n":1},{ "@odata.type" : "#graph.userEvidence"}]}`
	for keep, want := range map[bool]string{
		true:  `{"id":"a","evidence":[{"@odata.type":"#graph.deviceEvidence","n":1},{"@odata.type":"#graph.userEvidence"}]}`,
		false: `{"id":"a","evidence":[{"n":1},{}]}`,
	} {
		var out bytes.Buffer
		_, err := rowpath.Copy(&out, strings.NewReader(`{"value":[`+row+`,`+row+`]}`), rowpath.Options{Plain: true, Member: "value", KeepTypes: keep})
		if err != nil || out.String() != want+"\n"+want+"\n" {
			t.Errorf("keeping %v: %v, wrote %s", keep, err, out.String())
		}
	}
}

// What was kept before a page broke off is written: it is not asked for again.
func TestCopy_WritesWhatWasKeptBeforeAnError(t *testing.T) {
	most := 0
	for name, src := range map[string]io.Reader{
		"ends early":  strings.NewReader(`{"value":[{"id":1},{"id":2},{"id"`),
		"breaks off":  io.MultiReader(strings.NewReader(`{"value":[{"id":1},{"id":2},{"i`), iotest.ErrReader(errors.New("reset"))),
		"is damaged":  strings.NewReader(`{"value":[{"id":1},{"id":2},{]]`),
		"has a fault": strings.NewReader(`{"value":[{"id":1},{"id":2}],"error":{"code":"x"}}`),
	} {
		kept := 0
		var out bytes.Buffer
		_, err := rowpath.Copy(&out, src, rowpath.Options{Plain: true, Member: "value", Keep: func([]byte) bool { kept++; return true }})
		if err == nil || bytes.Count(out.Bytes(), []byte("\n")) != kept || !strings.HasPrefix("{\"id\":1}\n{\"id\":2}\n", out.String()) {
			t.Errorf("a page that %s: %v, %d kept, wrote %q", name, err, kept, out.String())
		}
		most = max(most, kept)
	}
	if most != 2 {
		t.Errorf("at most %d rows were kept, want 2", most)
	}
}

func TestCopy_WithoutTheMemberFindsNone(t *testing.T) {
	res, err := rowpath.Copy(io.Discard, strings.NewReader(`{"results":[{"id":1}]}`), rowpath.Options{Plain: true, Member: "value"})
	if err != nil || res.Found || res.Read != 0 {
		t.Errorf("Copy = %+v, %v; want no rows and none found", res, err)
	}
}
