package system_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// alive tells whether a process runs; a zombie doesn't.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// TestGatewayIsBackWithinASecond: killing the gateway loses nothing, and clients who come
// meanwhile are served by the next one.
func TestGatewayIsBackWithinASecond(t *testing.T) {
	_, err := system.Binary()
	require.NoError(t, err)
	began := time.Now()
	s := start(t)
	bound := max(time.Second, 2*time.Since(began)) // A server begins in half a second, unless the machine is busy.
	var all []time.Duration
	run(t, s, "CREATE TABLE g (id BIGINT)")
	for i := range 5 {
		run(t, s, "INSERT INTO g VALUES ($1)", i)
		pid, err := s.GatewayPID()
		require.NoError(t, err)
		require.True(t, alive(pid))
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		began := time.Now()
		require.Len(t, ids(t, s, "SELECT id FROM g"), i+1)
		took := time.Since(began)
		t.Logf("the gateway took %v to be back", took)
		require.Less(t, took, 10*time.Second)
		all = append(all, took)
	}
	slices.Sort(all)
	require.Less(t, all[len(all)/2], bound, "as a rule: %v", all)
}

// TestKilledServerLeavesNoChild: the gateway ends with its parent, however that ends.
func TestKilledServerLeavesNoChild(t *testing.T) {
	s := start(t)
	pid, err := s.GatewayPID()
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(s.PID(), syscall.SIGKILL))
	require.Eventually(t, func() bool { return !alive(pid) }, time.Minute, 5*time.Millisecond)
}

// TestServersSideBySide: two servers run beside each other; a second one on the same directory
// is refused by name, and hurts nothing.
func TestServersSideBySide(t *testing.T) {
	a, b := start(t), start(t)
	run(t, a, "CREATE TABLE only_in_a (id BIGINT)")
	run(t, b, "CREATE TABLE only_in_b (id BIGINT)")
	require.Empty(t, ids(t, a, "SELECT id FROM only_in_a"))

	_, err := system.Start(t.Context(), a.Dir)
	require.ErrorContains(t, err, "is in use by process "+strconv.Itoa(a.PID()))
	require.ErrorContains(t, err, "hint: ")
	require.Empty(t, ids(t, a, "SELECT id FROM only_in_a"))
}

// TestTwoPorts: the server listens on its two TCP ports and no other.
func TestTwoPorts(t *testing.T) {
	s := start(t)
	gateway, err := s.GatewayPID()
	require.NoError(t, err)
	ports := map[string]bool{}
	for _, pid := range []int{s.PID(), gateway} {
		inodes := socketsOf(t, pid)
		for _, file := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
			require.NoError(t, err)
			for line := range strings.Lines(string(text)) {
				f := strings.Fields(line)
				const listening = "0A"
				if len(f) > 9 && f[3] == listening && inodes[f[9]] {
					_, hex, _ := strings.Cut(f[1], ":")
					port, err := strconv.ParseUint(hex, 16, 16)
					require.NoError(t, err)
					ports[strconv.FormatUint(port, 10)] = true
				}
			}
		}
	}
	_, broker, _ := strings.Cut(s.Broker, ":")
	_, sql, _ := strings.Cut(s.SQL, ":")
	require.Equal(t, map[string]bool{broker: true, sql: true}, ports)
}

// socketsOf lists the inodes of a process's sockets.
func socketsOf(t *testing.T, pid int) map[string]bool {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	out := map[string]bool{}
	for _, l := range links {
		to, err := os.Readlink(l)
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			out[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return out
}

// TestReadyAndStop: /debug/ready answers 200 once all is ready, and SIGTERM ends everything well.
func TestReadyAndStop(t *testing.T) {
	s := start(t)
	resp, err := http.Get("http://" + s.Broker + "/debug/ready")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	gateway, err := s.GatewayPID()
	require.NoError(t, err)
	run(t, s, "CREATE TABLE r (id BIGINT)")
	run(t, s, "INSERT INTO r VALUES (1)")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, s.Stop(ctx))
	require.False(t, alive(gateway))
	require.NoError(t, s.Restart(t.Context()))
	require.Equal(t, []int64{1}, ids(t, s, "SELECT id FROM r"))
}

// TestGatewayHasAMemoryCeiling: the kernel refuses the gateway more writable memory.
func TestGatewayHasAMemoryCeiling(t *testing.T) {
	s := start(t, "--gateway.memory", "3GiB")
	gateway, err := s.GatewayPID()
	require.NoError(t, err)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", gateway))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "Max data size") {
			const stacks = (100 + 24) * 8 << 20 // of a thread for each session and some more, which are beyond the ceiling
			require.Equal(t, strconv.Itoa(3<<30+stacks), strings.Fields(line)[3])
			return
		}
	}
	t.Fatal("the limit isn't listed")
}

// TestStatementThatNothingInterrupts: one that goes on after its timeout ends with the gateway's
// process, and the next one serves.
func TestStatementThatNothingInterrupts(t *testing.T) {
	t.Parallel() // it waits for half a minute
	s := start(t)
	run(t, s, "CREATE TABLE kept (id BIGINT)")
	run(t, s, "INSERT INTO kept VALUES (1)")
	first, err := s.GatewayPID()
	require.NoError(t, err)
	conn := connect(t, s)
	_, err = conn.Exec(t.Context(), "SET statement_timeout = '500ms'")
	require.NoError(t, err)
	began := time.Now()
	_, err = conn.Exec(t.Context(), "SELECT repeat('a', 100000) LIKE repeat('%a', 5000) || 'b'")
	require.Error(t, err)
	require.Less(t, time.Since(began), 30*time.Second)
	require.Equal(t, []int64{1}, ids(t, s, "SELECT id FROM kept"))
	require.Eventually(t, func() bool {
		now, err := s.GatewayPID()
		return err == nil && now != first && !alive(first)
	}, time.Minute, 10*time.Millisecond)
}
