package clients_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/certs/certstest"
	"broadsheet.dev/broadsheet/test/system"
)

// run is set by `make test-clients`, which has installed the clients.
var run = flag.Bool("clients.run", false, "run the clients, which have to be installed")

const (
	// trusted is let in, in the clear; guarded has to prove a password, over TLS.
	trusted  = "open_door"
	guarded  = "guarded"
	password = "pass wörd"
	// endsWithin bounds a program. What hangs would take the whole test's time.
	endsWithin = 5 * time.Minute
)

// door is a way to connect, as variables of libpq.
type door struct {
	name string
	env  map[string]string
}

// server is a running one, with the fixture, and the doors to it.
type server struct {
	admin *pgx.Conn
	doors []door
}

// TestClients runs the program of each client, through each door of our server.
func TestClients(t *testing.T) {
	if !*run {
		t.Skip("the clients are run by make test-clients")
	}
	s := broadsheet(t)
	for _, p := range programs {
		for _, d := range s.doors {
			t.Run(p.name+"/"+d.name, func(t *testing.T) { s.check(t, p, d, p.differs) })
		}
	}
}

// TestProgramsOnPostgres: what the programs expect is what PostgreSQL does.
func TestProgramsOnPostgres(t *testing.T) {
	if !*run {
		t.Skip("the clients are run by make test-clients")
	}
	s := postgres(t)
	for _, p := range programs {
		if p.unchecked != "" {
			t.Logf("%s isn't run: %s", p.name, p.unchecked)
			continue
		}
		t.Run(p.name, func(t *testing.T) { s.check(t, p, s.doors[0], nil) })
	}
}

// broadsheet starts our server, whose rules have a door for each user.
func broadsheet(t *testing.T) *server {
	t.Helper()
	ca, other := certstest.New(t, "ca"), certstest.New(t, "other")
	files := ca.Issue("server", certs.Files{})
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	rules := write("hba", "hostnossl postgres "+trusted+" samehost trust\nhostssl postgres all samehost scram-sha-256\n")
	s, err := system.Start(t.Context(), filepath.Join(dir, "data"),
		"--sql-hba", rules, "--sql-password-file", write("password", "admin\n"), "--sql-tls-cert", files.Cert, "--sql-tls-key", files.Key)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
		s.Kill()
	})
	host, port, err := net.SplitHostPort(s.SQL)
	require.NoError(t, err)
	admin := connect(t, (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", "admin"), Host: s.SQL, Path: "postgres",
		RawQuery: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {ca.File}}.Encode(),
	}).String())
	fixture(t, admin)
	at := map[string]string{"PGHOST": host, "PGPORT": port, "PGDATABASE": "postgres"}
	inClear := door{"trusted, in the clear", maps.Clone(at)}
	maps.Copy(inClear.env, map[string]string{"PGUSER": trusted, "PGSSLMODE": "disable"})
	secured := door{"SCRAM over TLS", maps.Clone(at)}
	maps.Copy(secured.env, map[string]string{
		"PGUSER": guarded, "PGPASSWORD": password, "PGSSLMODE": "verify-full", "PGSSLROOTCERT": ca.File, "CLIENT_OTHER_CA": other.File,
	})
	return &server{admin: admin, doors: []door{inClear, secured}}
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// fixture makes what the programs read, and their users.
func fixture(t *testing.T, admin *pgx.Conn) {
	t.Helper()
	execFile(t, admin, "testdata/fixture.sql")
}

// execFile runs the statements of a file.
func execFile(t *testing.T, admin *pgx.Conn, path string) {
	t.Helper()
	text, err := os.ReadFile(path) //nolint:gosec // It is one of ours.
	require.NoError(t, err)
	for statement := range strings.SplitSeq(string(text), ";\n") {
		_, err := admin.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

// written is what each program's table has in the end: but for the rows that it copies, and microseconds, if it can't.
func (p program) written() []string {
	rows := []string{
		"1|one|1.50|2026-01-02 03:04:05.678901+00",
		`2|it's "two" \ ü|-2.25|1969-12-31 23:59:59+00`,
		"3|NULL|NULL|NULL",
	}
	if p.millis {
		rows[0] = strings.Replace(rows[0], "678901", "678", 1)
	}
	if p.cannot["copy"] == "" {
		rows = append(rows, "10|tab\tnew\nline\\|10.00|2026-01-02 03:04:05+00", "11|NULL|NULL|NULL")
	}
	return append(rows, "21|NULL|NULL|NULL")
}

// said is what a program has to print.
func (p program) said(secured bool, differs map[string]string) string {
	var b strings.Builder
	of := slices.Concat(steps, p.also)
	if secured {
		of = append(of, securedSteps...)
	}
	for _, step := range of {
		if p.cannot[step] != "" {
			continue
		}
		saw := "ok"
		if d := differs[step]; d != "" {
			saw = d
		}
		fmt.Fprintf(&b, "%s: %s\n", step, saw)
	}
	return b.String()
}

// check runs a program, and looks at what it says and at what it wrote.
func (s *server) check(t *testing.T, p program, d door, differs map[string]string) {
	t.Helper()
	table := "w_" + regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(p.name+" "+d.name), "_")
	ctx, cancel := context.WithTimeout(t.Context(), endsWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	cmd.Env = append(environment(t, d), "CLIENT_TABLE=shop."+table)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	require.NoError(t, err, "%s\n%s", &out, &complaints)
	secured := d.env["PGSSLMODE"] != "disable"
	require.Equal(t, p.said(secured, differs), out.String(), "%s", &complaints)
	rows, err := s.admin.Query(t.Context(), "SELECT concat_ws('|', id, coalesce(name, 'NULL'), coalesce(price::text, 'NULL'), coalesce(at::text, 'NULL')) FROM shop."+table+" ORDER BY id")
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, p.written(), got)
}

// environment of a program that comes through a door.
func environment(t *testing.T, d door) []string {
	t.Helper()
	env := append(os.Environ(), "LC_ALL=C.UTF-8", "PGTZ=UTC", "HOME="+t.TempDir(), "NODE_NO_WARNINGS=1", "NODE_PATH="+modules(t))
	for name, value := range d.env {
		env = append(env, name+"="+value)
	}
	return env
}

// modules is where install.sh puts those of node.
func modules(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../.tools/clients/node_modules")
	require.NoError(t, err)
	return dir
}
