package pgcatalog_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestZZ(t *testing.T) {
	e := newEngine(t)
	f, err := os.Open("/work/shared/pg-clients/queries.jsonl")
	if err != nil {
		t.Skip()
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	ok, n := 0, 0
	for sc.Scan() {
		var d struct {
			Clients []string
			SQL     string
			Cols    []struct{ Name string }
		}
		if err := json.Unmarshal(sc.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(strings.Join(d.Clients, "; "), "psql 15.18") && !strings.Contains(strings.Join(d.Clients, "; "), "; psql 15.18") {
			continue
		}
		n++
		a, err := e.query(t.Context(), d.SQL)
		if err != nil {
			m := err.Error()
			if len(m) > 700 {
				m = m[:700]
			}
			t.Logf("FAIL %v\n%.300s\n  => %s", d.Clients, d.SQL, m)
			continue
		}
		ok++
		for i, c := range a.columns {
			if d.Cols[i].Name != c.Name {
				t.Logf("NAME %s %s", d.Cols[i].Name, c.Name)
			}
		}
	}
	t.Logf("%d of %d", ok, n)
}
