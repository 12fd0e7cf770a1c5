package parse

import ("testing";"os";"bufio";"fmt")

func TestTry(t *testing.T) {
	f, err := os.Open(os.Getenv("TRY"))
	if err != nil { t.Skip() }
	sc := bufio.NewScanner(f); sc.Buffer(make([]byte,1<<20),1<<26)
	for sc.Scan() {
		q := sc.Text(); if q == "" { continue }
		fmt.Println(">>", q)
		ps, err := Split(q)
		if err != nil { fmt.Println("   SPLIT", err); continue }
		for _, p := range ps {
			st, err := Parse(p)
			if err != nil { fmt.Printf("   ERR %+v\n", *err.(*Error)); continue }
			s, ok := st.(*Select)
			if i, isI := st.(*Insert); isI { fmt.Printf("   insert %v %v\n", i.Table, i.Columns); s, ok = i.Source, true }
			if i, isI := st.(*CopyTo); isI && i.Query!=nil { fmt.Printf("   copyto %+v\n", i.Options); s, ok = i.Query, true }
			if i, isI := st.(*Subscribe); isI { fmt.Printf("   subscribe %v\n", i.Table); s, ok = i.Query, true }
			if !ok { fmt.Printf("   %T %+v\n", st, st); continue }
			fmt.Printf("   rel %+v params %+v\n", s.Relations(), s.Parameters())
			out, err := s.SQL(Binding{Relation: func(r Relation) (Target, error) {
				tg := Target{SQL: "scan('"+r.Name.Name+"')", Schema: "public", Columns: []string{"a","b","c"}}
				if s.UsesMeta() { tg.Hidden = []string{"_journal","_offset"} }
				return tg, nil
			}})
			if e, ok := err.(*Error); ok { fmt.Printf("   SQLERR %+v\n", *e); continue }
			fmt.Println("   SQL", out, err)
		}
	}
}
