package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/score"
	"broadsheet.dev/broadsheet/test/system"
)

// server is the one of this package's tests.
var server *system.Server

func TestMain(m *testing.M) {
	os.Exit(system.Main(m, &server))
}

// pair is a connection to each of the servers.
type pair struct {
	ours, postgres *pgconn.PgConn
	url            string            // PostgreSQL's
	differs        map[string]string // the differences that are meant, by the names of tests
}

func connect(t *testing.T) *pair {
	t.Helper()
	reasons, err := score.ReadReasons("testdata/differs.txt")
	require.NoError(t, err)
	p := &pair{differs: reasons, url: system.Postgres(t)}
	for url, conn := range map[string]**pgconn.PgConn{server.URL(): &p.ours, p.url: &p.postgres} {
		*conn, err = pgconn.Connect(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(func() { _ = (*conn).Close(context.Background()) })
	}
	return p
}

// same asks both servers, and compares what they answer.
func (p *pair) same(t *testing.T, ask func(*pgconn.PgConn) string) {
	t.Helper()
	name := t.Name()
	want, got := ask(p.postgres), ask(p.ours)
	switch reason := p.differs[name]; {
	case reason == "" && want != got:
		t.Errorf("PostgreSQL answers\n%sand we do\n%s", want, got)
	case reason != "" && want == got:
		t.Errorf("%s is in differs.txt, but isn't different", name)
	}
}

// both runs statements that have to succeed.
func (p *pair) both(t *testing.T, sql ...string) {
	t.Helper()
	for _, s := range sql {
		for _, conn := range []*pgconn.PgConn{p.ours, p.postgres} {
			_, err := conn.Exec(t.Context(), s).ReadAll()
			require.NoError(t, err, s)
		}
	}
}

// failure is what a client is told of an error.
func failure(t *testing.T, err error) string {
	t.Helper()
	e, ok := errors.AsType[*pgconn.PgError](err)
	require.True(t, ok, "%v", err)
	return fmt.Sprintf("%s %s | %s\n", e.Code, e.Message, e.Where)
}

// rows are those of a query, in its order.
func rows(t *testing.T, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	results, err := conn.Exec(t.Context(), sql).ReadAll()
	require.NoError(t, err, sql)
	var out strings.Builder
	for _, r := range results {
		for _, row := range r.Rows {
			for _, cell := range row {
				if cell == nil {
					out.WriteString("NULL ")
				} else {
					fmt.Fprintf(&out, "[%s] ", cell)
				}
			}
			out.WriteString("\n")
		}
	}
	return out.String()
}

// copied is what a COPY TO STDOUT sends.
func copied(t *testing.T, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	var data bytes.Buffer
	tag, err := conn.CopyTo(t.Context(), &data, sql)
	if err != nil {
		return fmt.Sprintf("%q\n", data.String()) + failure(t, err)
	}
	return fmt.Sprintf("%q\n%s\n", data.String(), tag)
}
