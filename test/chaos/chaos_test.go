package chaos

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/internal/testenv"
	"broadsheet.dev/broadsheet/test/chaos/ledger"
)

var (
	seed = flag.Uint64("chaos.seed", 0, "seed of the run; 0 is one of the clock")
	keep = flag.String("chaos.dir", "", "directory that the processes keep all in, and that stays")
)

// diskSize of a broker: what its spools take many times.
const diskSize = 64 << 20

func TestMain(m *testing.M) {
	ledger.Main() // if this is to be a host of the ledger
	goleak.VerifyTestMain(m)
}

// build the program without the gateway.
func build(t *testing.T) string {
	t.Helper()
	testenv.Uncached()
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	path := filepath.Join(root, "bin", "broadsheet-chaos")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/broadsheet")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// laidOut is a configuration with all that a run needs.
func laidOut(t *testing.T, cfg Config) Config {
	t.Helper()
	cfg.Etcd = testenv.Tool(t, "etcd")
	cfg.Broadsheet = build(t)
	cfg.Brokers, cfg.Replication = 3, 3
	if os.Geteuid() == 0 {
		cfg.DiskSize = diskSize
	} else {
		t.Log("no disk is filled: it takes root to mount one")
	}
	if cfg.Dir = *keep; cfg.Dir != "" {
		cfg.Dir = filepath.Join(cfg.Dir, filepath.Base(t.Name()))
	} else {
		dir, err := os.MkdirTemp("", "chaos") //nolint:usetesting // it stays where a run fails
		require.NoError(t, err)
		cfg.Dir = dir
	}
	if cfg.Seed = *seed; cfg.Seed == 0 {
		cfg.Seed = uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	}
	t.Logf("seed %d, in %s", cfg.Seed, cfg.Dir)
	return cfg
}

func chaos(t *testing.T, cfg Config) {
	t.Helper()
	cfg.Writers = 3
	cfg = laidOut(t, cfg)
	report, err := Run(t.Context(), cfg)
	if report != nil {
		t.Logf("seed %d\n%s", cfg.Seed, report)
	}
	if err != nil || len(report.Violations) > 0 {
		if report != nil {
			for _, f := range report.Done {
				t.Log(f)
			}
		}
		require.NoError(t, err)
		t.FailNow()
	}
	if *keep == "" {
		require.NoError(t, os.RemoveAll(cfg.Dir))
	}
	require.NotZero(t, report.Acked)
	require.NotZero(t, report.Objects)
}

// TestChaosShort: few kills, in every run of the tests.
func TestChaosShort(t *testing.T) {
	chaos(t, Config{Kills: 3, EtcdMembers: 1, Ack: "replicated", Pace: 5 * time.Millisecond})
}
