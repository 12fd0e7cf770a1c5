package sql_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// TestMemoryCeiling: the kernel holds the gateway to its ceiling, queries that take more than there is are told 53200, others go on
// meanwhile, and the process is the same one.
func TestMemoryCeiling(t *testing.T) {
	s, err := system.Start(t.Context(), t.TempDir()+"/data", "--gateway.memory", "1GiB", "--sql-max-sessions", "20")
	require.NoError(t, err)
	t.Cleanup(s.Kill)
	pid, err := s.GatewayPID()
	require.NoError(t, err)
	data := dataLimit(t, pid)
	const stacks = 44 * 8 << 20 // of as many threads as there are sessions, and more
	require.Equal(t, int64(1<<30+stacks), data)

	greedy := []string{
		"SELECT array_agg(i) FROM generate_series(1, 1000000000) i",
		"SELECT md5(string_agg(repeat('x', 10000) || i::text, ',')) FROM generate_series(1, 1000000000) i",
		"SELECT json_agg(i) FROM generate_series(1, 1000000000) i",
	}
	ends := make(chan error, len(greedy))
	var all sync.WaitGroup
	for _, sql := range greedy {
		all.Go(func() {
			conn, err := s.Connect(t.Context())
			if err != nil {
				ends <- err
				return
			}
			defer func() { _ = conn.Close(context.Background()) }()
			ends <- drain(conn.PgConn().Exec(t.Context(), sql))
		})
	}
	over := make(chan struct{})
	go func() { all.Wait(); close(over) }()
	conn, err := s.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	answered := 0
	for done := false; !done; {
		select {
		case <-over:
			done = true
		default:
		}
		var one int
		if conn.QueryRow(t.Context(), "SELECT 1").Scan(&one) == nil { // or there was no memory at this moment
			answered++
		}
	}
	for range greedy {
		var e *pgconn.PgError
		err := <-ends
		require.ErrorAs(t, err, &e)
		require.Equal(t, "53200", e.Code, e.Message)
	}
	require.Positive(t, answered)
	require.False(t, conn.IsClosed())
	now, err := s.GatewayPID()
	require.NoError(t, err)
	require.Equal(t, pid, now, "the gateway was started anew")
	t.Logf("%d queries were answered meanwhile; %s", answered, memoryOf(t, pid))
}

// dataLimit is how many bytes of writable memory the kernel lets a process have.
func dataLimit(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	require.NoError(t, err)
	found := regexp.MustCompile(`Max data size +(\d+) `).FindSubmatch(text)
	require.NotNil(t, found, "%s", text)
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	require.NoError(t, err)
	return n
}

// memoryOf a process, as the kernel tells it.
func memoryOf(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	var out []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") || strings.HasPrefix(line, "VmData") {
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(out, ", ")
}

// TestAllocatorsOfAGateway: one that isn't started by serve has the allocators' settings in its environment all the same.
func TestAllocatorsOfAGateway(t *testing.T) {
	g, err := server.StartGateway(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(g.Kill)
	conn, err := g.Connect(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", g.PID()))
	require.NoError(t, err)
	for _, name := range []string{"MALLOC_ARENA_MAX=2", "DUCKDB_JE_MALLOC_CONF=retain:false"} {
		require.Equal(t, 1, strings.Count("\x00"+string(env), "\x00"+name), name)
	}
}
