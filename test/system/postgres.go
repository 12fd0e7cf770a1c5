package system

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// Postgres starts a PostgreSQL 15 that has nothing in it, and returns its URL. It refuses to run as
// root: then it runs as nobody. The test isn't run if there is none.
func Postgres(t *testing.T) string {
	t.Helper()
	initdb, server := testenv.Program(t, "initdb"), testenv.Program(t, "postgres")
	dir, err := os.MkdirTemp("", "broadsheet-postgres-") //nolint:usetesting // Nobody can't reach into what is root's.
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var as *syscall.Credential
	if os.Geteuid() == 0 {
		as = nobody(t)
		require.NoError(t, os.Chown(dir, int(as.Uid), int(as.Gid)))
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	data := filepath.Join(dir, "data")
	out, err := run(initdb, "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput()
	require.NoError(t, err, "%s", out)
	port := freePort(t)
	cmd := run(server, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+dir, "-c", "fsync=off", "-c", "timezone=UTC")
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	defer func() { _ = log.Close() }()
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // ends it at once, with its children
		_ = cmd.Wait()
	})
	url := "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	awaitPostgres(t, url)
	return url
}

// nobody is the user that nothing belongs to.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func freePort(t *testing.T) string {
	t.Helper()
	ports, err := testenv.FreePorts(1)
	require.NoError(t, err)
	return strconv.Itoa(ports[0])
}

// awaitPostgres waits until a server that was started answers.
func awaitPostgres(t *testing.T, url string) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := pgconn.Connect(t.Context(), url)
		if err == nil {
			_ = conn.Close(context.Background())
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond)
}
