package remote

import (
	"database/sql"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// postgres starts a PostgreSQL 15 that has nothing in it. It listens on a socket only.
func postgres(t *testing.T) *sql.DB {
	t.Helper()
	programs := filepath.Dir(testenv.Program(t, "initdb"))
	dir, err := os.MkdirTemp("", "broadsheet-store-") //nolint:usetesting // nobody can't reach into what is root's
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attr := new(syscall.SysProcAttr)
	if os.Geteuid() == 0 {
		attr.Credential = nobody(t)
		require.NoError(t, os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)))
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(programs, name), args...)
		cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+dir), attr
		return cmd
	}
	data := filepath.Join(dir, "data")
	out, err := run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput()
	require.NoError(t, err, "%s", out)
	// pg_ctl returns once the server answers.
	start := run("pg_ctl", "-D", data, "-w", "-t", "120", "-l", filepath.Join(dir, "log"), "-o",
		"-c listen_addresses='' -c fsync=off -c unix_socket_directories="+dir, "start")
	require.NoError(t, start.Run())
	t.Cleanup(func() { _ = run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop").Run() })
	db, err := sql.Open("pgx", "user=postgres database=postgres host="+dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.SetMaxIdleConns(0) // one that was killed isn't used again
	return db
}

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
