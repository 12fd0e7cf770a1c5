package sql_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	program "os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// TestEveryErrorHasItsState runs the statements of testdata/states, which fail, and holds the SQLSTATE of each against PostgreSQL 15's.
// Where no PostgreSQL is installed, what the file says that it answers counts. The commands, of which each line is a statement:
//
//	both    has to succeed on both servers
//	ours    has to succeed here; PostgreSQL isn't asked
//	states  fails; printed is the SQLSTATE, and PostgreSQL's if it is another
//	own     fails, and PostgreSQL isn't asked
//	copy    COPY FROM STDIN with the data behind " <- ", in which \n, \t, \r, \\ and \xNN are escapes
//	bind    has a parameter behind " <- ": a text, or bytes after 0x
//
// A statement that fails does so in both protocols alike, says why, and leaves a session that answers.
func TestEveryErrorHasItsState(t *testing.T) {
	postgres := ""
	if _, err := program.LookPath("initdb"); err == nil {
		postgres = system.Postgres(t)
	}
	count := 0
	datadriven.Walk(t, "testdata/states", func(t *testing.T, path string) {
		own, err := system.Start(t.Context(), t.TempDir()+"/data") // each file has servers without anything in them
		require.NoError(t, err)
		t.Cleanup(own.Kill)
		s := states{ours: dial(t, own.URL())}
		if postgres != "" {
			name := "states_" + filepath.Base(path)
			_, err := dial(t, postgres).Exec(t.Context(), "create database "+name).ReadAll()
			require.NoError(t, err)
			s.postgres = dial(t, strings.Replace(postgres, "/postgres?", "/"+name+"?", 1))
		}
		datadriven.RunTest(t, path, s.run)
		count += s.count
	})
	require.Greater(t, count, 600)
}

func dial(t *testing.T, url string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), "set statement_timeout = '20s'").ReadAll()
	require.NoError(t, err)
	return conn
}

// states are the two servers, of which the second may be missing.
type states struct {
	ours, postgres *pgconn.PgConn
	count          int
}

func (s *states) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	said := strings.Split(d.Expected, "\n")
	var out strings.Builder
	for i, line := range strings.Split(d.Input, "\n") {
		if d.Cmd == "both" || d.Cmd == "ours" {
			s.succeed(t, line, d.Cmd == "both")
			continue
		}
		s.count++
		here := checkState(t, s.ours, d.Cmd, line)
		there := here
		switch {
		case d.Cmd == "own":
		case s.postgres != nil:
			there = state(t, s.postgres, d.Cmd, line)
		case i < len(said):
			_, after, differs := strings.Cut(said[i], here+" (PostgreSQL ")
			if answer, _, ok := strings.Cut(after, ")"); differs && ok {
				there = answer
			}
		}
		if here != there {
			fmt.Fprintf(&out, "%s (PostgreSQL %s)  %s\n", here, there, line)
		} else {
			fmt.Fprintf(&out, "%s  %s\n", here, line)
		}
	}
	return out.String()
}

func (s *states) succeed(t *testing.T, sql string, both bool) {
	t.Helper()
	_, err := s.ours.Exec(t.Context(), sql).ReadAll()
	require.NoError(t, err, sql)
	if both && s.postgres != nil {
		_, err = s.postgres.Exec(t.Context(), sql).ReadAll()
		require.NoError(t, err, "PostgreSQL: %s", sql)
	}
}

// state is the SQLSTATE with which a server answers a line of a command.
func state(t *testing.T, conn *pgconn.PgConn, command, line string) string {
	t.Helper()
	e, err := failure(t.Context(), conn, command, line, command == "bind")
	require.NoError(t, err, line)
	if e == nil {
		return "00000"
	}
	return e.Code
}

// checkState is state for the server that is tested, where both protocols have to say the same, and something.
func checkState(t *testing.T, conn *pgconn.PgConn, command, line string) string {
	t.Helper()
	e, err := failure(t.Context(), conn, command, line, command == "bind")
	require.NoError(t, err, line)
	if e == nil {
		return "00000"
	}
	checkError(t, e, line)
	if (command == "states" || command == "own") && !strings.ContainsAny(line, ";$") {
		extended, err := failure(t.Context(), conn, command, line, true)
		require.NoError(t, err, line)
		if extended == nil || extended.Code != e.Code {
			t.Errorf("%s\nthe simple protocol says %v, the extended %v", line, e, extended)
		}
	}
	return e.Code
}

// checkError: an error has a SQLSTATE that says what is wrong, and a text without what isn't its client's to know.
func checkError(t *testing.T, e *pgconn.PgError, line string) {
	t.Helper()
	switch {
	case !regexp.MustCompile("^[0-9A-Z]{5}$").MatchString(e.Code) || strings.HasPrefix(e.Code, "XX") || e.Code == "00000":
		t.Errorf("%s\nhas the SQLSTATE %s: %s", line, e.Code, e.Message)
	case e.Severity != "ERROR" || e.SeverityUnlocalized != "ERROR" || e.Message == "":
		t.Errorf("%s\nis answered by %s: %q", line, e.Severity, e.Message)
	case strings.Contains(e.Message, "SQLSTATE") || strings.Contains(e.Message, "duck:") || strings.Contains(e.Message, "catalog:") || strings.Contains(e.Message, "\n\nCandidate"):
		t.Errorf("%s\nis told of more than is its business: %q", line, e.Message)
	}
}

// failure is the error of a line of a command, nil if it has none. The session has to answer afterwards.
func failure(ctx context.Context, conn *pgconn.PgConn, command, line string, extended bool) (*pgconn.PgError, error) {
	err := ask(ctx, conn, command, line, extended)
	var e *pgconn.PgError
	if err != nil && !errors.As(err, &e) {
		return nil, err
	}
	if conn.TxStatus() != 'I' {
		if _, err := conn.Exec(ctx, "rollback").ReadAll(); err != nil {
			return nil, err
		}
	}
	return e, conn.ExecParams(ctx, "SELECT 1", nil, nil, nil, nil).Read().Err
}

func ask(ctx context.Context, conn *pgconn.PgConn, command, line string, extended bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // a COPY that waits for data has it for ever
	defer cancel()
	sql, value, _ := strings.Cut(line, " <- ")
	switch {
	case command == "copy":
		data, err := strconv.Unquote(`"` + strings.ReplaceAll(value, `"`, `\"`) + `"`)
		if err != nil {
			return err
		}
		_, err = conn.CopyFrom(ctx, strings.NewReader(data), sql)
		return err
	case command == "bind":
		param, format := []byte(value), int16(0)
		if digits, ok := strings.CutPrefix(value, "0x"); ok {
			var err error
			if param, err = hex.DecodeString(digits); err != nil {
				return err
			}
			format = 1
		}
		return conn.ExecParams(ctx, sql, [][]byte{param}, nil, []int16{format}, nil).Read().Err
	case extended:
		return conn.ExecParams(ctx, sql, nil, nil, nil, nil).Read().Err
	}
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}
