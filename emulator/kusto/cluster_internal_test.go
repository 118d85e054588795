package kusto

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

func open(t testing.TB) *Cluster {
	t.Helper()
	c, err := New(Options{Databases: []string{"db"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCommit_HidesRowsForAWhileButNotTheirTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t)
		db := c.databases["db"]
		db.tables["T"] = newTable("T", []engine.Column{{Name: "A", Type: engine.TypeLong}})
		rows := newBuilder(db.tables["T"].columns)
		rows.add([]any{int64(1)})
		c.mu.Lock()
		c.commit(db.tables["T"], rows.blocks(), []string{"ingest-by:x"}, time.Time{}, time.Minute)
		_, known := db.tables["T"].tagged([]string{"ingest-by:x"})
		c.mu.Unlock()
		if !known || c.Count("db", "T") != 0 {
			t.Errorf("at once: tag known %v, %d rows; want the tag and no row", known, c.Count("db", "T"))
		}
		time.Sleep(time.Minute + 1)
		synctest.Wait()
		if n := c.Count("db", "T"); n != 1 {
			t.Errorf("after a minute: %d rows, want 1", n)
		}
	})
}

func TestQuery_SeesTheTableOfOneMoment(t *testing.T) {
	c := open(t)
	run := func(command string) {
		t.Helper()
		if _, err := c.execute(t.Context(), caller{open: true}, "db", command); err != nil {
			t.Fatal(err)
		}
	}
	run(".set T <| range n from 1 to 10 step 1")
	columns, rows, err := c.Rows("db", "T")
	if err != nil {
		t.Fatal(err)
	}
	run(".append T <| range n from 1 to 5 step 1")
	run(".delete table T records <| T | where n > 3")
	run(".create-merge table T (More:string)")
	count := func() (n int) {
		for r := range rows {
			if len(r.Values) != len(columns) {
				t.Fatalf("row of %d values, want %d", len(r.Values), len(columns))
			}
			n++
		}
		return n
	}
	if n := count(); n != 10 {
		t.Errorf("the earlier reading has %d rows, want 10", n)
	}
	if n := c.Count("db", "T"); n != 6 {
		t.Errorf("%d rows now, want 6", n)
	}
}

func TestTokenKey_TrustsOnlyItsOwn(t *testing.T) {
	k, other := newTokenKey(), newTokenKey()
	token := k.sign("aadapp=x;t")
	for name, test := range map[string]struct {
		key         tokenKey
		token, want string
	}{
		"own": {k, token, "aadapp=x;t"}, "another cluster's": {other, token, ""}, "none": {k, "", ""}, "forged": {k, token[:len(token)-4] + "AAAA", ""},
	} {
		if got := test.key.principal(test.token); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// FuzzExecute_AnswersOrRefuses looks for commands that panic or never end.
func FuzzExecute_AnswersOrRefuses(f *testing.F) {
	for _, seed := range []string{
		".show tables | count", ".show database principals", ".get ingestion resources", ".create-merge table ['a b'] (A:string, B:dynamic) with (folder='x')", ".show table T extents where tags has 'x'",
		".create-or-alter function F(a:long=1, T:(x:string)) { T | where x == a }", ".set-or-append T with (tags='[\"a\"]') <| print 1",
		".execute database script <|\n.show tables\n.drop table T ifexists", ".ingest inline into table T with (format='csv') <|\na,b",
		".alter-merge table T policy retention softdelete = 1d", ".alter column T.A policy encoding type='BigObject'", ".delete table T records <| T",
		".create table T ingestion json mapping 'm' '[{\"column\":\"A\",\"path\":\"$.a[0]\"}]'", ".add database db viewers ('aadapp=x') 'n'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := c.execute(ctx, caller{open: true}, "db", ".create table T (A:string, B:long)"); err != nil {
			t.Fatal(err)
		}
		for _, database := range []string{"db", managementDatabase} {
			_, err := c.execute(ctx, caller{open: true}, database, text)
			if err != nil && refusal(err).Status == 500 && ctx.Err() == nil {
				t.Errorf("%q on %s: %v, want a refusal the service knows", text, database, err)
			}
		}
	})
}
