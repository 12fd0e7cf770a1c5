package parse

import ("testing";"os";"bufio";"fmt";"strings";"database/sql";"strconv")

type permissive struct{}
func tpl(name string, n int) *Template {
	args := []string{}
	for i := range n { args = append(args, "$"+strconv.Itoa(i+1)) }
	t, err := ParseTemplate("bs."+name+"("+strings.Join(args, ", ")+")")
	if err != nil { panic(err) }
	return t
}
func (permissive) Function(c Call) (*Template, error) {
	if lookupFunction(c.Name) != nil && c.Schema == "" { return nil, nil }
	if hasLine(postgresFunctions, c.Name) || c.Schema == "information_schema" || strings.HasPrefix(c.Name, "current_") || strings.HasSuffix(c.Name,"_user") {
		if c.InFrom { return ParseTemplate("SELECT word, catcode, name FROM bs."+c.Name) }
		return tpl(c.Name, len(c.Args)), nil }
	return nil, nil
}
func (permissive) Cast(c Cast) (*Template, error) {
	switch c.Name { case "regclass","oid","regtype","regproc","char","regnamespace","xid","int2vector", "regoper","regprocedure","regrole","_oid", "name", "cstring", "anyarray", "xid8": return ParseTemplate("$1::text") }
	return nil, nil
}
func (permissive) Operator(o Operator) (*Template, error) { return nil, nil }

func TestCat(t *testing.T) {
	f, err := os.Open(os.Getenv("CAT"))
	if err != nil { t.Skip() }
	cols := map[string][]string{}
	cf, _ := os.Open("/tmp/pp/pgcols.txt"); cs := bufio.NewScanner(cf); cs.Buffer(nil, 1<<20)
	for cs.Scan() { a, b, _ := strings.Cut(cs.Text(), " "); cols[a] = strings.Split(b, ",") }
	cols["journal.orders"] = strings.Split("off,ts,customer,amount,a,b,c,id,note,tags,payload,uid,dt,ok,big,ratio", ",")
	cols["journal.items"] = []string{"off","order_off","sku","qty"}
	db, _ := sql.Open("duckdb", "")
	sc := bufio.NewScanner(f); sc.Buffer(make([]byte,1<<20),1<<26)
	kinds := map[string]int{}
	for sc.Scan() {
		q := sc.Text(); if q == "" { continue }
		ps, err := Split(q)
		if err != nil { fmt.Println("SPLIT", err, q); continue }
		for _, p := range ps {
			st, err := Parse(p)
			if err != nil { kinds["ERR "+err.Error()]++; if strings.Contains(err.Error(), "syntax") {fmt.Println(q)}; continue }
			s, ok := st.(*Select)
			if !ok { kinds[fmt.Sprintf("%T", st)]++; continue }
			out, err := s.SQL(Binding{Dialect: permissive{}, Relation: func(r Relation) (Target, error) {
				for _, sch := range []string{r.Schema, "pg_catalog", "journal"} {
					if c := cols[sch+"."+r.Name.Name]; c != nil { return Target{SQL: "bs."+r.Name.Name, Schema: sch, Columns: c, Hidden: []string{"tableoid","xmin","ctid"}}, nil }
				}
				return Target{}, errorf("42P01", "relation %q does not exist", r.Name)
			}})
			if err != nil { kinds["SQLERR "+err.Error()]++; if os.Getenv("V") != "" { fmt.Println("--", err, "\n", q) }; continue }
			var res string
			if err := db.QueryRow("select json_serialize_sql(?::varchar)::varchar", out).Scan(&res); err != nil { fmt.Println("SER", err); continue }
			if strings.HasPrefix(res, `{"error":true`) { kinds["DUCKPARSE"]++; fmt.Println("DUCK", res[:min(300,len(res))], "\n", out) } else { kinds["ok"]++ }
		}
	}
	for k, v := range kinds { fmt.Println(v, k) }
}
