package system_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store/cloud/cloudtest"
	"broadsheet.dev/broadsheet/internal/embedetcd"
	"broadsheet.dev/broadsheet/test/system"
)

// fleetPatience bounds each wait of these tests.
const fleetPatience = 3 * time.Minute

// member is a process of a fleet.
type member struct {
	args []string
	said map[string]string // the addresses that it printed
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when it has ended
}

// launch a role, and return once it is ready.
func launch(t *testing.T, args ...string) *member {
	t.Helper()
	m := &member{args: args}
	m.start(t)
	t.Cleanup(m.kill)
	return m
}

func (m *member) start(t *testing.T) {
	t.Helper()
	binary, err := system.Binary()
	require.NoError(t, err)
	if m.log, err = os.CreateTemp(t.TempDir(), "log"); err != nil {
		t.Fatal(err)
	}
	m.cmd, m.said, m.done = exec.Command(binary, m.args...), map[string]string{}, make(chan struct{})
	m.cmd.Stderr = m.log
	out, err := m.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, m.cmd.Start())
	ready := make(chan bool, 1)
	cmd, done := m.cmd, m.done
	go func() { // ends with the process
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "ready" {
			name, value, _ := strings.Cut(lines.Text(), " ")
			m.said[name] = value
		}
		ready <- lines.Text() == "ready"
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		close(done)
	}()
	select {
	case ok := <-ready:
		require.True(t, ok, "%v ended:\n%s", m.args, m.logged(t))
	case <-time.After(fleetPatience):
		require.Fail(t, "a process isn't ready", "%v:\n%s", m.args, m.logged(t))
	}
}

func (m *member) logged(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(m.log.Name())
	require.NoError(t, err)
	return string(b)
}

func (m *member) kill() {
	_ = m.cmd.Process.Kill()
	<-m.done
}

func (m *member) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), "postgres://postgres@"+m.said["sql"]+"/postgres?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// ready is what a gateway's diagnostics say.
func (m *member) ready(t *testing.T) int {
	t.Helper()
	r, err := http.Get("http://" + m.said["debug"] + "/debug/ready")
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return r.StatusCode
}

// metric is the sum of a gateway's metric.
func (m *member) metric(t *testing.T, name string) float64 {
	t.Helper()
	r, err := http.Get("http://" + m.said["debug"] + "/debug/metrics")
	require.NoError(t, err)
	text, err := io.ReadAll(r.Body)
	require.NoError(t, errors.Join(err, r.Body.Close()))
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, name) {
			continue
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		require.NoError(t, err)
		sum += v
	}
	return sum
}

// fleet is an etcd, an S3, and three brokers that ask for tokens.
type fleet struct {
	etcd, stores string
	brokers      []*member
	bucket       string // the directory of its objects
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	s3 := cloudtest.S3(t)
	run, err := os.MkdirTemp("", "bs") //nolint:usetesting // a socket's path has to be short
	require.NoError(t, err)
	etcd, err := embedetcd.Start(t.Context(), embedetcd.Config{Dir: filepath.Join(run, "etcd"), RunDir: run, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = etcd.Close(), os.RemoveAll(run) })
	f := &fleet{etcd: etcd.Endpoint(), stores: filepath.Join(t.TempDir(), "stores.yaml"), bucket: s3.Dir}
	require.NoError(t, os.WriteFile(f.stores, fmt.Appendf(nil,
		"stores:\n  - name: lake\n    url: %slake/\n    endpoint: %s\n    addresses: [127.0.0.0/8]\n    region: %s\n    profile: %s\n",
		s3.Entry.URL, s3.Entry.Endpoint, s3.Entry.Region, s3.Entry.Profile), 0o600))
	t.Setenv("BROADSHEET_BROKER_AUTH_KEYS", "dGhlIHNlY3JldCBvZiB0aGVzZSB0ZXN0cw==") // of brokers and gateways: on no command line
	for range 3 {
		f.brokers = append(f.brokers, launch(t, "broker", "--etcd.address", f.etcd, "--data-dir", t.TempDir(), "--broker.bind", "127.0.0.1",
			"--broker.host", "127.0.0.1", "--stores", f.stores, "--etcd.lease", "5s"))
	}
	return f
}

// gateway starts one that reaches the fleet by one of its brokers.
func (f *fleet) gateway(t *testing.T, broker int, args ...string) *member {
	t.Helper()
	return launch(t, append([]string{
		"gateway", "--etcd.address", f.etcd, "--broker.address", "http://" + f.brokers[broker].said["broker"], "--stores", f.stores,
		"--default-stores", "lake", "--sql-listen", "127.0.0.1:0", "--debug.port", "0", "--memory", "2GiB",
	}, args...)...)
}

// objects that S3 has.
func (f *fleet) objects(t *testing.T) int {
	t.Helper()
	n := 0
	require.NoError(t, filepath.WalkDir(f.bucket, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(path, ".zst") {
			n++
		}
		return nil // what vanishes meanwhile is a part of an upload
	}))
	return n
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, fleetPatience, 50*time.Millisecond, what)
}

// TestGatewaysOfAFleet: what docs/fleet.md says of gateways.
func TestGatewaysOfAFleet(t *testing.T) {
	f := newFleet(t)
	first := f.gateway(t, 0, "--data-dir", t.TempDir(), "--grace", "1h")
	second := f.gateway(t, 1, "--data-dir", t.TempDir(), "--grace", "0s")
	here := first.connect(t)
	_, err := here.Exec(t.Context(), "CREATE TABLE rides (id BIGINT, bike TEXT) WITH (journals = 2, fragment_length = '1kB', refresh_interval = '1 second', stores = 'lake')")
	require.NoError(t, err)
	_, err = here.Exec(t.Context(), "CREATE TABLE lost (id BIGINT) WITH (stores = 's3://elsewhere/')")
	requireCode(t, err, "22023")
	_, err = here.Exec(t.Context(), "CREATE TABLE lost (id BIGINT) WITH (stores = 'attic')")
	requireCode(t, err, "22023")

	rows := 0
	insert := func(conn *pgx.Conn, n int) {
		t.Helper()
		var values []string
		for range n {
			rows++
			values = append(values, fmt.Sprintf("(%d, 'bike %d')", rows, rows))
		}
		_, err := conn.Exec(t.Context(), "INSERT INTO rides VALUES "+strings.Join(values, ", "))
		require.NoError(t, err)
	}
	check := func(conn *pgx.Conn) {
		t.Helper()
		var n, sum, length int64
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*), sum(id)::bigint, sum(length(bike))::bigint FROM rides").Scan(&n, &sum, &length))
		want := int64(0)
		for i := range rows {
			want += int64(len("bike " + strconv.Itoa(i+1)))
		}
		require.Equal(t, []int64{int64(rows), int64(rows) * int64(rows+1) / 2, want}, []int64{n, sum, length})
	}
	for range 10 {
		insert(here, 100)
	}
	check(here)
	there := second.connect(t)
	until(t, "the table is seen on the other gateway", func() bool {
		_, err := there.Exec(t.Context(), "SELECT count(*) FROM rides")
		return err == nil
	})
	check(there)
	insert(there, 100)
	check(here)

	until(t, "fragments are stored", func() bool { return f.objects(t) >= 5 })
	until(t, "fragments are read from copies", func() bool {
		check(there)
		return second.metric(t, "broadsheet_objectcache_objects") >= 5 && second.metric(t, "broadsheet_objectcache_hits_total") >= 5
	})
	check(here)

	second.kill()
	check(here)
	second.start(t)
	require.GreaterOrEqual(t, second.metric(t, "broadsheet_objectcache_objects"), 5.0, "the copies are there after a SIGKILL")
	there = second.connect(t)
	until(t, "copies are read again", func() bool {
		check(there)
		return second.metric(t, "broadsheet_objectcache_hits_total") >= 5
	})
	require.Less(t, second.metric(t, "broadsheet_objectcache_downloads_total"), second.metric(t, "broadsheet_objectcache_objects"), "copies were brought anew")

	stopped(t, first, here, check)
	told := make(chan error, 1)
	go func() { _, err := there.WaitForNotification(context.Background()); told <- err }() // ends with the session
	require.NoError(t, second.cmd.Process.Signal(syscall.SIGTERM))
	requireCode(t, <-told, "57P01")
	<-second.done
	require.Zero(t, second.cmd.ProcessState.ExitCode(), second.logged(t))
}

// stopped: a gateway with a grace serves the sessions that it has, says that it isn't ready, and ends with the last of them.
func stopped(t *testing.T, m *member, conn *pgx.Conn, check func(*pgx.Conn)) {
	t.Helper()
	require.Equal(t, http.StatusOK, m.ready(t))
	require.NoError(t, m.cmd.Process.Signal(syscall.SIGTERM))
	until(t, "the gateway isn't ready any more", func() bool { return m.ready(t) == http.StatusServiceUnavailable })
	check(conn)
	require.NoError(t, conn.Close(t.Context()))
	<-m.done
	require.Zero(t, m.cmd.ProcessState.ExitCode(), m.logged(t))
}

func requireCode(t *testing.T, err error, code string) {
	t.Helper()
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Message)
}
