package psql_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal is a psql at which somebody sits.
type terminal struct {
	psql *exec.Cmd
	keys *os.File
	read chan struct{} // closed when psql has closed its end

	mu     sync.Mutex
	screen bytes.Buffer
}

// sit starts psql at a pseudo-terminal.
func sit(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}))
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	term := &terminal{psql: command(t), keys: master, read: make(chan struct{})}
	term.psql.Stdin, term.psql.Stdout, term.psql.Stderr = slave, slave, slave
	term.psql.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, term.psql.Start())
	require.NoError(t, slave.Close())
	go func() { // ends with psql, which has the only other end
		_, _ = io.Copy(term, master)
		close(term.read)
	}()
	t.Cleanup(func() {
		_ = term.psql.Process.Kill()
		_ = term.psql.Wait()
		<-term.read
		_ = master.Close()
	})
	term.await(t, "postgres=# ")
	return term
}

// Write adds to what the screen shows.
func (x *terminal) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.Write(p)
}

func (x *terminal) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

func (x *terminal) shows(text string) bool { return strings.Contains(x.String(), text) }

// await waits until the screen shows a text.
func (x *terminal) await(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return x.shows(text) }, time.Minute, 5*time.Millisecond, "%q isn't shown: %s", text, x)
}

func (x *terminal) press(t *testing.T, keys string) {
	t.Helper()
	_, err := x.keys.WriteString(keys)
	require.NoError(t, err)
}

// TestCompletion: Tab completes the names of tables and schemas.
func TestCompletion(t *testing.T) {
	made := command(t)
	made.Stdin = strings.NewReader(`CREATE SCHEMA fleet; CREATE TABLE completed (weight bigint); CREATE TABLE fleet.vehicles (id bigint);
		INSERT INTO completed VALUES (7); INSERT INTO fleet.vehicles VALUES (8);`)
	require.NoError(t, made.Run())
	t.Cleanup(func() {
		dropped := command(t)
		dropped.Stdin = strings.NewReader("DROP TABLE completed; DROP TABLE fleet.vehicles; DROP SCHEMA fleet;")
		require.NoError(t, dropped.Run())
	})

	x := sit(t)
	for _, line := range []struct{ typed, shown string }{
		{"SELECT 'rows: ' || count(*) FROM compl\t;", " rows: 1\r\n"},
		{"SELECT 'id: ' || id FROM flee\tveh\t;", " id: 8\r\n"},
		{"SELECT 'most: ' || max(id) FROM fleet.\t;", " most: 8\r\n"},
		{"\\d compl\t", `Table "public.completed"`},
	} {
		x.press(t, line.typed+"\r")
		x.await(t, line.shown)
	}
}

// TestInterrupt: Ctrl-C ends the query that runs, and the connection goes on.
func TestInterrupt(t *testing.T) {
	const long = "SELECT sum(a * b % 7) FROM generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b"
	x := sit(t)
	for i, query := range []string{long, "COPY (" + long + ") TO STDOUT"} {
		x.press(t, query+";\r")
		awaitRunning(t, query) // until then psql would throw the line away
		canceled := func() int { return strings.Count(x.String(), "ERROR:  canceling statement due to user request") }
		require.Eventually(t, func() bool {
			x.press(t, "\x03")
			return canceled() > i
		}, time.Minute, 50*time.Millisecond, "%s isn't canceled: %s", query, x)
		again := fmt.Sprintf("SELECT 'still %d ' || 'here';\r", i)
		require.Eventually(t, func() bool {
			x.press(t, again) // once more if a last Ctrl-C met it
			return x.shows(fmt.Sprintf("still %d here", i))
		}, time.Minute, 50*time.Millisecond)
	}
	require.NotContains(t, x.String(), "connection")
}

// awaitRunning waits until another session sees a statement run.
func awaitRunning(t *testing.T, query string) {
	t.Helper()
	sees := "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '" + query + "%' AND pid <> pg_backend_pid()"
	require.Eventually(t, func() bool {
		watch := command(t)
		watch.Args = append(watch.Args, "--tuples-only", "--no-align", "--command", sees)
		out, err := watch.Output()
		return err == nil && strings.TrimSpace(string(out)) == "1"
	}, time.Minute, 50*time.Millisecond, "%s doesn't run", query)
}
