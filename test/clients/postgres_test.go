package clients_test

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

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// postgres starts a PostgreSQL 15, with the fixture and one door that trusts. It refuses to run as root: then it
// runs as nobody.
func postgres(t *testing.T) *server {
	t.Helper()
	initdb, program := testenv.Program(t, "initdb"), testenv.Program(t, "postgres")
	dir, err := os.MkdirTemp("", "broadsheet-postgres-") //nolint:usetesting // Nobody can't reach into what is root's.
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var as *syscall.Credential
	if os.Geteuid() == 0 {
		as = nobody(t)
		require.NoError(t, os.Chown(dir, int(as.Uid), int(as.Gid)))
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	data := filepath.Join(dir, "data")
	out, err := command(initdb, "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput()
	require.NoError(t, err, "%s", out)
	ports, err := testenv.FreePorts(1)
	require.NoError(t, err)
	port := strconv.Itoa(ports[0])
	cmd := command(program, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+dir, "-c", "fsync=off", "-c", "timezone=UTC")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // ends it at once, with its children
		_ = cmd.Wait()
	})
	address := "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), address)
		return err == nil && conn.Close(t.Context()) == nil
	}, time.Minute, 50*time.Millisecond)
	s := &server{admin: connect(t, address)}
	fixture(t, s.admin)
	for _, statement := range []string{
		"CREATE SCHEMA bs_catalog", "CREATE VIEW bs_catalog.sessions AS SELECT * FROM pg_stat_activity",
		"GRANT USAGE ON SCHEMA bs_catalog TO public", "GRANT SELECT ON bs_catalog.sessions TO public",
	} {
		_, err := s.admin.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	s.doors = []door{{"trusted", map[string]string{"PGHOST": "127.0.0.1", "PGPORT": port, "PGDATABASE": "postgres", "PGUSER": trusted, "PGSSLMODE": "disable"}}}
	return s
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
