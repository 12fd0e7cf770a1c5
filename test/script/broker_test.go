package script

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/embedetcd"
	"broadsheet.dev/broadsheet/test/system"
)

// TestScriptsOfBrokers: brokers of a fleet, with an etcd at $ETCD that each script has for
// itself, and ports of this machine at $PORT1 and $PORT2.
func TestScriptsOfBrokers(t *testing.T) {
	binary, err := system.Binary()
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/broker",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"ready": ready},
		Setup: func(env *testscript.Env) error {
			env.Setenv("broadsheet", binary)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			for _, name := range []string{"PORT1", "PORT2"} {
				port, err := freePort()
				if err != nil {
					return err
				}
				env.Setenv(name, port)
			}
			run, err := os.MkdirTemp("", "bs") //nolint:usetesting // a socket's path has to be short
			if err != nil {
				return err
			}
			etcd, err := embedetcd.Start(context.Background(), embedetcd.Config{
				Dir: filepath.Join(run, "etcd"), RunDir: run, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				return err
			}
			env.Defer(func() { _, _ = etcd.Close(), os.RemoveAll(run) })
			env.Setenv("ETCD", etcd.Endpoint())
			return nil
		},
	})
}

// freePort is a port that was free just now.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return "", err
	}
	return port, ln.Close()
}

// ready waits until a broker is: ready URL.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready URL")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		if resp, err := http.Get(args[0] + "/debug/ready"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		<-tick.C
	}
	ts.Fatalf("%s isn't ready", args[0])
}
