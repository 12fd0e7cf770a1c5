package system

import (
	"context"
	"errors"
	"fmt"
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

// Postgres starts a PostgreSQL 15 that has nothing in it, and returns its URL. The test isn't run if there is none.
func Postgres(t *testing.T) string {
	t.Helper()
	testenv.Program(t, "initdb")
	p, err := StartPostgres(t.Context(), filepath.Dir(testenv.Program(t, "postgres")), "fsync=off")
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	return p.URL
}

// PostgresServer is a running PostgreSQL.
type PostgresServer struct {
	// URL of its superuser, whom it trusts.
	URL string

	dir string
	cmd *exec.Cmd
}

// guardedRule makes it ask the user guarded for a password.
const guardedRule = "host all guarded 127.0.0.1/32 scram-sha-256\n"

// StartPostgres starts a server that has nothing in it, of the programs in a directory, with further settings, and returns
// once it answers. It trusts every user but guarded, who has to prove a password. It refuses to run as root: then it
// runs as nobody.
func StartPostgres(ctx context.Context, programs string, settings ...string) (*PostgresServer, error) {
	dir, err := os.MkdirTemp("", "broadsheet-postgres-") // Nobody can't reach into what is root's.
	if err != nil {
		return nil, err
	}
	p := &PostgresServer{dir: dir}
	if err := p.start(ctx, programs, settings); err != nil {
		p.Stop()
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return p, nil
}

func (p *PostgresServer) start(ctx context.Context, programs string, settings []string) error {
	var as *syscall.Credential
	if os.Geteuid() == 0 {
		var err error
		if as, err = nobody(); err != nil {
			return err
		}
		if err := os.Chown(p.dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(programs, name), args...)
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+p.dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	data := filepath.Join(p.dir, "data")
	if out, err := run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	rules := filepath.Join(data, "pg_hba.conf")
	old, err := os.ReadFile(rules)
	if err != nil {
		return err
	}
	if err := os.WriteFile(rules, append([]byte(guardedRule), old...), 0o600); err != nil {
		return err
	}
	ports, err := testenv.FreePorts(1)
	if err != nil {
		return err
	}
	port := strconv.Itoa(ports[0])
	args := []string{"-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + p.dir, "-c", "timezone=UTC"}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	cmd := run("postgres", args...)
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.URL = cmd, "postgres://postgres@127.0.0.1:"+port+"/postgres?sslmode=disable"
	return awaitPostgres(ctx, p.URL)
}

// PID of the server's first process, whose children are its connections'.
func (p *PostgresServer) PID() int { return p.cmd.Process.Pid }

// Stop ends the server at once, with its children, and removes what it kept.
func (p *PostgresServer) Stop() {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		_ = p.cmd.Wait()
	}
	_ = os.RemoveAll(p.dir)
}

// nobody is the user that nothing belongs to.
func nobody() (*syscall.Credential, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, errUser := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGroup := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUser, errGroup)
}

// awaitPostgres waits until a server that was started answers.
func awaitPostgres(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgconn.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
