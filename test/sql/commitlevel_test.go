package sql_test

import (
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// TestSynchronousCommit: where brokers acknowledge what they hold in memory, the setting decides for each append whether it
// waits for the disk, as PostgreSQL's does.
func TestSynchronousCommit(t *testing.T) {
	s, err := system.Start(t.Context(), filepath.Join(t.TempDir(), "data"), "--ack", "replicated")
	require.NoError(t, err)
	t.Cleanup(s.Kill)
	conn, err := s.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })

	exec(t, conn, "CREATE TABLE t (a INT)")
	require.Equal(t, []string{"on"}, rows(t, conn, "SHOW synchronous_commit"))
	for _, tc := range []struct {
		level, said string
		syncs       bool
	}{
		{"on", "on", true},
		{"off", "off", false},
		{"remote_write", "remote_write", false},
		{"REMOTE_APPLY", "remote_apply", true},
		{"false", "off", false},
		{"local", "local", true},
		{"1", "on", true},
	} {
		exec(t, conn, "SET synchronous_commit = "+tc.level)
		require.Equal(t, []string{tc.said}, rows(t, conn, "SHOW synchronous_commit"))
		for _, sql := range []string{
			"INSERT INTO t VALUES (1)", "BEGIN; INSERT INTO t VALUES (2); COMMIT", "INSERT INTO t VALUES (3) RETURNING _offset",
		} {
			before := syncs(t, s)
			exec(t, conn, sql)
			require.Equal(t, tc.syncs, syncs(t, s) > before, "%s: %s", tc.level, sql)
		}
	}
	exec(t, conn, "SET synchronous_commit = off")
	before := syncs(t, s)
	exec(t, conn, "BEGIN; INSERT INTO t VALUES (4); SET LOCAL synchronous_commit = on; COMMIT")
	require.Greater(t, syncs(t, s), before, "what holds at COMMIT counts")
	require.Equal(t, []string{"off"}, rows(t, conn, "SHOW synchronous_commit"))
	require.Equal(t, "22023", code(t, conn, "SET synchronous_commit = sometimes"))
}

// syncs of spools that a server's broker has made.
func syncs(t *testing.T, s *system.Server) int {
	t.Helper()
	resp, err := http.Get("http://" + s.Broker + "/debug/metrics")
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	m := regexp.MustCompile(`(?m)^broadsheet_spool_sync_seconds_count (\d+)$`).FindSubmatch(b)
	require.NotNil(t, m, "%s", b)
	n, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	return n
}
