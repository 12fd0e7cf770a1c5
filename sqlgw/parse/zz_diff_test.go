package parse

import ("testing";"os";"bufio";"fmt";"os/exec";"strings";"database/sql"; _ "github.com/duckdb/duckdb-go/v2")

func ours1(t *testing.T, db *sql.DB, q string) string {
		ps, err := Split(q)
		if err != nil { return "SPLIT "+err.Error() }
		st, err := Parse(ps[0])
		if err != nil { return "PARSE "+err.Error() }
		s := st.(*Select)
		out, err := s.SQL(Binding{Relation: func(r Relation) (Target, error) {
	cols := map[string][]string{"t": {"a","b","c"}, "u": {"a","d"}, "v": {"a","b","e"}}[r.Name.Name]
	if cols == nil { return Target{}, errorf("42P01", "relation %q does not exist", r.Name) }
	return Target{SQL: "(select *, 'j' as _journal, 1 as _offset, null as _timestamp from main."+r.Name.Name+")", Schema: "public", Columns: cols, Hidden: []string{"_journal","_offset","_timestamp"}}, nil
}})
		if err != nil { return "SQL "+err.Error() }
		if os.Getenv("SHOW") != "" { fmt.Println("    --", out) }
		var b strings.Builder
		rows, err := db.Query(out)
		if err != nil { return "DUCK "+strings.Split(err.Error(),"\n")[0] + " <- " + out }
		defer rows.Close()
		cols, _ := rows.Columns()
		b.WriteString(strings.Join(cols, "|")); b.WriteString("\n")
		for rows.Next() { v := make([]sql.NullString, len(cols)); p := make([]any, len(cols)); for i := range v { p[i] = &v[i] }
			if err := rows.Scan(p...); err != nil { return "SCAN "+err.Error() }
			for i := range v { if i > 0 { b.WriteString("|") }; if v[i].Valid { b.WriteString(v[i].String) } else { b.WriteString("NULL") } }
			b.WriteString("\n") }
		if err := rows.Err(); err != nil { return "ROWS "+strings.Split(err.Error(),"\n")[0]+ " <- " + out }
		return b.String()
}

func TestDiff(t *testing.T) {
	f, err := os.Open(os.Getenv("DIFF"))
	if err != nil { t.Skip() }
	db, _ := sql.Open("duckdb", ""); db.SetMaxOpenConns(1); db.Exec("set timezone='UTC'")
	schema := "create table t(a int, b text, c double precision);create table u(a int, d text);create table v(a int, b text, e date);"+
	"insert into t values (1,'x',1.5),(2,'y',null),(null,'z',3),(10,'x',0);insert into u values (1,'one'),(2,'two'),(2,'zwei'),(5,null);insert into v values (1,'x','2020-01-01'),(3,'y',null);"
	if _, err := db.Exec(schema); err != nil { t.Fatal(err) }
	exec.Command("psql", "-h", "/tmp/pp/pg/s", "-U", "postgres", "-q", "-c", "drop table if exists t,u,v;"+schema).Run()
	sc := bufio.NewScanner(f); sc.Buffer(make([]byte,1<<20),1<<26)
	for sc.Scan() {
		q := sc.Text(); if q == "" { continue }
		if strings.HasPrefix(q, "=") { q = "select (" + q[1:] + ")::text as x" }
		o := ours1(t, db, q)
		c := exec.Command("psql", "-h", "/tmp/pp/pg/s", "-U", "postgres", "-A", "-q", "-P", "footer=off", "-P", "null=NULL", "-c", q)
		pb, _ := c.CombinedOutput()
		p := string(pb)
		if strings.TrimSpace(o) == strings.TrimSpace(p) { if os.Getenv("ALL")!="" { fmt.Println("same", q) }; continue }
		fmt.Println(">>", q, "\n   ours:", strings.ReplaceAll(strings.TrimSpace(o),"\n"," // "), "\n   pg:  ", strings.ReplaceAll(strings.TrimSpace(p),"\n"," // "))
	}
}
