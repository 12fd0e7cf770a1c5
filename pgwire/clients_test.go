package pgwire

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// connectPgx connects pgx to a server.
func connectPgx(t *testing.T, s *testServer, options string, change ...func(*pgx.ConnConfig)) *pgx.Conn {
	t.Helper()
	host, port, err := net.SplitHostPort(s.address().String())
	require.NoError(t, err)
	cfg, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s user=u database=d %s", host, port, options))
	require.NoError(t, err)
	for _, c := range change {
		c(cfg)
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func ints(t *testing.T, conn *pgx.Conn, sql string, args ...any) []int32 {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	require.NoError(t, err)
	return got
}

// TestPgx: in each of its modes, of which some ask for binary results.
func TestPgx(t *testing.T) {
	s := startTCP(t, Config{})
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			conn := connectPgx(t, s, "", func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = mode })
			for range 3 {
				require.Equal(t, []int32{1, 2, 3}, ints(t, conn, "select generate_series(1,3)"))
				if mode != pgx.QueryExecModeSimpleProtocol { // where pgx puts the value into the text
					require.Equal(t, []int32{-7}, ints(t, conn, "select $1::int", -7))
				}
			}
			_, err := conn.Exec(t.Context(), "selec")
			var e *pgconn.PgError
			require.ErrorAs(t, err, &e)
			require.Equal(t, "42601", e.Code)
			require.Equal(t, []int32{5}, ints(t, conn, "select 5"))
			tag, err := conn.Exec(t.Context(), "insert into t values (1),(2)")
			require.NoError(t, err)
			require.Equal(t, int64(2), tag.RowsAffected())
		})
	}
}

func TestPgxBatch(t *testing.T) {
	conn := connectPgx(t, startTCP(t, Config{}), "")
	var batch pgx.Batch
	for i := range 500 {
		batch.Queue("select $1::int", i)
		batch.Queue("insert into t values (1)")
	}
	results := conn.SendBatch(t.Context(), &batch)
	for i := range 500 {
		var got int
		require.NoError(t, results.QueryRow().Scan(&got))
		require.Equal(t, i, got)
		_, err := results.Exec()
		require.NoError(t, err)
	}
	require.NoError(t, results.Close())
	require.Equal(t, int64(500), single[int64](t, conn, "select count(*) from t"))
}

func single[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var v T
	require.NoError(t, conn.QueryRow(t.Context(), sql, pgx.QueryExecModeSimpleProtocol).Scan(&v))
	return v
}

// TestPgxPipeline: several Syncs under way, of which one ends in an error.
func TestPgxPipeline(t *testing.T) {
	conn := connectPgx(t, startTCP(t, Config{}), "").PgConn()
	p := conn.StartPipeline(t.Context())
	p.SendQueryParams("select generate_series(1,2)", nil, nil, nil, nil)
	require.NoError(t, p.Sync())
	p.SendQueryParams("selec", nil, nil, nil, nil)
	p.SendQueryParams("select 1", nil, nil, nil, nil)
	require.NoError(t, p.Sync())
	p.SendQueryParams("select 7", nil, nil, nil, nil)
	require.NoError(t, p.Sync())
	var got []string
	for range 6 {
		r, err := p.GetResults()
		if err != nil {
			got = append(got, err.(*pgconn.PgError).Code) //nolint:errorlint // as it comes from the server
			continue
		}
		if reader, ok := r.(*pgconn.ResultReader); ok {
			got = append(got, string(bytes.Join(reader.Read().Rows[0], nil)))
		} else {
			got = append(got, fmt.Sprintf("%T", r))
		}
	}
	require.Equal(t, []string{"1", "*pgconn.PipelineSync", "42601", "*pgconn.PipelineSync", "7", "*pgconn.PipelineSync"}, got)
	require.NoError(t, p.Close())
}

func TestPgxCopy(t *testing.T) {
	conn := connectPgx(t, startTCP(t, Config{}), "").PgConn()
	tag, err := conn.CopyFrom(t.Context(), strings.NewReader(strings.Repeat("12345\n", 100_000)), "copy t from stdin")
	require.NoError(t, err)
	require.Equal(t, int64(100_000), tag.RowsAffected())
	// The server gives up while the client still sends.
	_, err = conn.CopyFrom(t.Context(), strings.NewReader("x\n"+strings.Repeat("12345\n", 1_000_000)), "copy t from stdin")
	require.ErrorContains(t, err, "22P02")
	var out bytes.Buffer
	tag, err = conn.CopyTo(t.Context(), &out, "copy (select generate_series(1,3)) to stdout")
	require.NoError(t, err)
	require.Equal(t, "1\n2\n3\n", out.String())
	require.Equal(t, "COPY 3", tag.String())
}

// TestPgxCancel: of a context, by a cancel request, with the secrets of both versions.
func TestPgxCancel(t *testing.T) {
	s := startTCP(t, Config{})
	for _, version := range []string{"3.0", "3.2"} {
		t.Run(version, func(t *testing.T) {
			conn := connectPgx(t, s, "max_protocol_version="+version, func(c *pgx.ConnConfig) {
				c.BuildContextWatcherHandler = func(p *pgconn.PgConn) ctxwatch.Handler {
					return &pgconn.CancelRequestContextWatcherHandler{Conn: p, DeadlineDelay: patience}
				}
			})
			require.Len(t, conn.PgConn().SecretKey(), map[string]int{"3.0": 4, "3.2": 32}[version])
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error, 1)
			go func() {
				_, err := conn.Exec(ctx, "!block")
				failed <- err
			}()
			s.await(t, "block begins")
			cancel()
			require.ErrorContains(t, <-failed, "57014")
			require.Equal(t, []int32{5}, ints(t, conn, "select 5"))
		})
	}
}

// TestPgxRowsArrive as they are flushed, while the statement still runs.
func TestPgxRowsArrive(t *testing.T) {
	conn := connectPgx(t, startTCP(t, Config{}), "").PgConn()
	reader := conn.Exec(t.Context(), "!row-and-wait")
	require.True(t, reader.NextResult())
	require.True(t, reader.ResultReader().NextRow())
	require.Equal(t, "xxx", string(reader.ResultReader().Values()[0]))
	require.NoError(t, conn.CancelRequest(t.Context()))
	require.ErrorContains(t, reader.Close(), "57014")
}

// psqlOn prepares psql for a server.
func psqlOn(t *testing.T, s *testServer, args ...string) *exec.Cmd {
	t.Helper()
	host, port, err := net.SplitHostPort(s.address().String())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, testenv.Program(t, "psql"), append([]string{"-X", "-h", host, "-p", port, "-U", "u", "-d", "d"}, args...)...)
	cmd.Env = append(os.Environ(), "PGAPPNAME=psql", "PGCONNECT_TIMEOUT=10", "LC_ALL=C")
	return cmd
}

func TestPsql(t *testing.T) {
	s := startTCP(t, Config{})
	for _, c := range []struct{ args, in, want string }{
		{"-Atc|select 1, 2", "", "1|2\n"},
		{"-At|-c|select 1; select generate_series(1,2)", "", "1\n1\n2\n"},
		{"-At", "select 1;\nselec;\nselect 2;\n", "1\nERROR:  syntax error at or near \"selec\"\nLINE 1: selec;\n        ^\n2\n"},
		{"-Atc|show application_name", "", "psql\n"},
		{"-At", "copy t from stdin;\n1\n2\n\\.\nselect count(*) from t;\n", "COPY 2\n2\n"},
		{"-At", "copy t from stdin;\n1\nx\n\\.\nselect 3;\n", "ERROR:  invalid input syntax for type integer: \"x\"\n3\n"},
		{"-Atc|copy (select generate_series(1,3)) to stdout", "", "1\n2\n3\n"},
		{"-Atc|do $$begin raise notice 'hi'; end$$", "", "NOTICE:  hi\nDO\n"},
	} {
		args := strings.Split(c.args, "|")
		cmd := psqlOn(t, s, args...)
		cmd.Stdin = strings.NewReader(c.in)
		out, _ := cmd.CombinedOutput() // psql tells of errors in its output too
		require.Equal(t, c.want, string(out), c.args+c.in)
	}
}

// TestPsqlInterrupt: what Ctrl-C does.
func TestPsqlInterrupt(t *testing.T) {
	s := startTCP(t, Config{})
	cmd := psqlOn(t, s, "-At")
	cmd.Stdin = strings.NewReader("!block;\nselect 1;\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	s.await(t, "block begins")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Contains(t, s.await(t, "block ends"), "57014")
	_ = cmd.Wait()
	require.Contains(t, out.String(), "ERROR:  canceling statement due to user request")
}

// TestPsqlIsToldOfTheEnd of the server, and gone when it is killed.
func TestPsqlIsToldOfTheEnd(t *testing.T) {
	s := startTCP(t, Config{})
	cmd := psqlOn(t, s, "-Atc", "!block")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	killed := psqlOn(t, s, "-Atc", "!block")
	s.await(t, "block begins")
	require.NoError(t, killed.Start())
	s.await(t, "block begins")
	began := time.Now()
	require.NoError(t, killed.Process.Kill())
	_ = killed.Wait()
	require.Contains(t, s.await(t, "block ends"), "the client is gone")
	require.Less(t, time.Since(began), patience/2)
	require.NoError(t, s.stop())
	_ = cmd.Wait()
	require.Contains(t, out.String(), "FATAL:  terminating connection due to administrator command")
}
