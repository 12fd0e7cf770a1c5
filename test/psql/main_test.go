package psql_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"broadsheet.dev/broadsheet/internal/testenv"
	"broadsheet.dev/broadsheet/test/system"
)

// postgres is a PostgreSQL 15, in whose database nothing else is kept, that says what psql prints:
//
//	go test ./test/psql -run TestAsWithPostgres -postgres 'host=/socket/dir user=postgres dbname=empty' -rewrite
var postgres = flag.String("postgres", "", "connection `string` of a PostgreSQL 15 that writes testdata/same anew")

// server is the one of this package's tests.
var server *system.Server

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if *postgres != "" {
		return m.Run()
	}
	return system.Main(m, &server)
}

// command is a psql that is connected to the server, or to PostgreSQL.
func command(t *testing.T) *exec.Cmd {
	t.Helper()
	database := *postgres
	if database == "" {
		database = server.URL()
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), testenv.Program(t, "psql"), "--no-psqlrc", "--dbname", database)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "PAGER=cat", "TERM=dumb", "PSQL_HISTORY=/dev/null", "INPUTRC=/dev/null", "HOME="+t.TempDir())
	return cmd
}

// scripts runs the scenarios of a directory: each is what psql reads, and what it prints.
func scripts(t *testing.T, dir string) {
	t.Helper()
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			cmd := command(t)
			cmd.Stdin = strings.NewReader(d.Input + "\n")
			out, err := cmd.CombinedOutput()
			if err != nil {
				return string(out) + err.Error() + "\n"
			}
			return string(out)
		})
	})
}

// TestAsWithPostgres: psql prints what it prints for the same tables in PostgreSQL.
func TestAsWithPostgres(t *testing.T) { scripts(t, "testdata/same") }

// TestOurs: what psql prints of things that PostgreSQL hasn't, or has otherwise.
func TestOurs(t *testing.T) {
	if *postgres == "" { // which has nothing to say of them
		scripts(t, "testdata/ours")
	}
}
