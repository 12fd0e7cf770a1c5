package system_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// start runs a server for a test, on a directory of its own.
func start(t *testing.T, args ...string) *system.Server {
	t.Helper()
	s, err := system.Start(t.Context(), t.TempDir()+"/data", args...)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	return s
}

func connect(t *testing.T, s *system.Server) *pgx.Conn {
	t.Helper()
	conn, err := s.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func run(t *testing.T, s *system.Server, sql string, args ...any) {
	t.Helper()
	conn := connect(t, s)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err := conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err, sql)
}

func ids(t *testing.T, s *system.Server, sql string) []int64 {
	t.Helper()
	conn := connect(t, s)
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), sql)
	require.NoError(t, err, sql)
	out, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	require.NoError(t, err, sql)
	return out
}

func journalOf(t *testing.T, s *system.Server, table string) string {
	t.Helper()
	conn := connect(t, s)
	defer func() { _ = conn.Close(t.Context()) }()
	var journal string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT journal FROM bs_catalog.journals WHERE table_name = $1", table).Scan(&journal))
	return journal
}

// appendRange appends rows [from, to) by HTTP, as one append.
func appendRange(ctx context.Context, s *system.Server, journal string, from, to int64) error {
	var body bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&body, "{\"id\":%d,\"pad\":\"%0*d\"}\n", i, 1+i%200, i)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+s.Broker+"/"+journal, &body)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent {
		err = errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

// TestKillUnderLoad kills the server by SIGKILL at random points of a load, again and again.
// Every acknowledged append is there afterwards, every other one wholly or not at all, and
// each row once.
func TestKillUnderLoad(t *testing.T) {
	s := start(t)
	run(t, s, "CREATE TABLE crash (id BIGINT NOT NULL, pad TEXT) WITH (fragment_length = '64KiB', codec = 'none')")
	journal := journalOf(t, s, "crash")
	const size = 20
	acked := map[int64]bool{} // appends by the number of their first row
	next := int64(0)
	for range 6 {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() {
				for ctx.Err() == nil {
					mu.Lock()
					from := next
					next += size
					mu.Unlock()
					if appendRange(ctx, s, journal, from, from+size) == nil {
						mu.Lock()
						acked[from] = true
						mu.Unlock()
					}
				}
			})
		}
		goal := rand.IntN(400)
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(acked) >= goal
		}, time.Minute, time.Millisecond)
		s.Kill()
		cancel()
		writers.Wait()
		require.NoError(t, s.Restart(t.Context()))

		got := ids(t, s, "SELECT id FROM crash ORDER BY id")
		require.Len(t, slices.Compact(slices.Clone(got)), len(got), "a row is there twice")
		have := map[int64]int{}
		for _, id := range got {
			have[id/size*size]++
		}
		for from, n := range have {
			require.Equal(t, size, n, "the append of row %d is torn", from)
		}
		for from := range acked {
			require.Equal(t, size, have[from], "the acknowledged append of row %d is lost", from)
		}
		require.Empty(t, ids(t, s, `SELECT "offset" FROM bs_catalog.rejects`))
	}
	require.NotEmpty(t, acked)
}
