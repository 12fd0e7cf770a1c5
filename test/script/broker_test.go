package script

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/embedetcd"
	"broadsheet.dev/broadsheet/internal/testenv"
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
			ports, err := testenv.FreePorts(2)
			if err != nil {
				return err
			}
			for i, port := range ports {
				env.Setenv(fmt.Sprintf("PORT%d", i+1), strconv.Itoa(port))
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
