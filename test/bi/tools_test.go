package bi_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/bi"
	"broadsheet.dev/broadsheet/test/system"
)

// address is of a server that runs already, in place of one that the test starts.
var address = flag.String("server", "", "`URL` of a server that has nothing in it")

// TestAnswersArePostgres: the answers are those of a real PostgreSQL.
func TestAnswersArePostgres(t *testing.T) {
	url := *address
	if url == "" {
		url = system.Postgres(t)
	}
	replay(t, url, false)
}

// TestTools: each tool is answered as PostgreSQL answers it.
func TestTools(t *testing.T) {
	if f := flag.Lookup("rewrite"); f != nil && f.Value.String() == "true" {
		t.Skip("the answers are PostgreSQL's to write: -run TestAnswersArePostgres")
	}
	url := *address
	if url == "" {
		s, err := system.Start(t.Context(), t.TempDir())
		require.NoError(t, err)
		defer s.Kill()
		url = s.URL()
	}
	replay(t, url, true)
}

// replay makes the schema and runs each tool's session. Ours: the server isn't PostgreSQL.
func replay(t *testing.T, url string, ours bool) {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = admin.Close(t.Context()) }()
	schema, err := os.ReadFile("testdata/schema.sql")
	require.NoError(t, err)
	for sql := range strings.SplitSeq(string(schema), ";\n") {
		if strings.TrimSpace(sql) == "" {
			continue
		}
		_, err := admin.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	files, err := filepath.Glob("testdata/tools/*.txt")
	require.NoError(t, err)
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			r := &replayer{url: url, admin: admin, ours: ours}
			defer r.close()
			datadriven.RunTest(t, path, r.run)
		})
	}
}

// replayer runs one tool's file.
type replayer struct {
	url     string
	admin   *pgx.Conn
	session *bi.Session
	ours    bool
}

func (r *replayer) close() {
	if r.session != nil {
		_ = r.session.Close()
	}
}

// run a directive: "connect" opens the session, with parameters of its startup, one a line; "simple" and "extended" are statements.
func (r *replayer) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if d.Cmd == "connect" {
		return r.connect(t, d)
	}
	text, err := bi.Places(t.Context(), r.admin, d.Input)
	require.NoError(t, err, d.Pos)
	st := bi.Statement{Simple: d.Cmd == "simple", Binary: d.HasArg("binary")}
	if !st.Simple {
		require.Equal(t, "extended", d.Cmd, d.Pos)
	}
	var limit int
	d.MaybeScanArgs(t, "max", &limit)
	st.Max = uint32(limit) //nolint:gosec // It is what the file says.
	st.SQL, st.Args = arguments(text)
	a, err := r.session.Run(st)
	require.NoError(t, err, d.Pos)
	how := bi.How{Ordered: d.HasArg("ordered"), Loose: d.HasArg("loose")}
	for _, arg := range d.CmdArgs {
		if arg.Key == "mask" {
			how.Mask = arg.Vals
		}
	}
	return r.judge(t, d, a, a.Print(how))
}

// judge what we answer where it is known to be another answer than PostgreSQL's.
func (r *replayer) judge(t *testing.T, d *datadriven.TestData, a *bi.Answer, printed string) string {
	t.Helper()
	if !r.ours {
		return printed
	}
	state, said := a.Failed()
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "refused":
			require.Equal(t, strings.Join(arg.Vals, " "), state, "%s: %s", d.Pos, said)
			return d.Expected
		case "differs":
			require.Empty(t, state, "%s: %s", d.Pos, said)
			require.NotEqual(t, d.Expected, printed, "%s: it doesn't differ any more", d.Pos)
			return d.Expected
		}
	}
	if state != "" && printed != d.Expected {
		t.Logf("%s: %s", d.Pos, said)
	}
	return printed
}

func (r *replayer) connect(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	r.close()
	params := map[string]string{}
	for line := range strings.Lines(d.Input) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		params[name] = value
	}
	user := params["user"]
	delete(params, "user")
	var err error
	r.session, err = bi.Open(t.Context(), r.url, user, params)
	require.NoError(t, err, d.Pos)
	return fmt.Sprintf("connected as %s\n", user)
}

// arguments takes the parameters off the end of a statement: "$ text" each in a line, or "$ NULL".
func arguments(text string) (string, []*string) {
	var sql strings.Builder
	var args []*string
	for line := range strings.Lines(text) {
		value, is := strings.CutPrefix(strings.TrimRight(line, "\n"), "$ ")
		switch {
		case !is:
			sql.WriteString(line)
		case value == "NULL":
			args = append(args, nil)
		default:
			args = append(args, &value)
		}
	}
	return strings.TrimRight(sql.String(), "\n"), args
}
