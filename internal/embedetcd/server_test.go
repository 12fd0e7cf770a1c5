package embedetcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
)

// childRun names the environment variable that turns the test binary into a
// process which only starts a server in that run directory and waits to be killed.
const childRun = "EMBEDETCD_TEST_CHILD_RUN"

func childConfig(run string) Config {
	return Config{Dir: filepath.Join(run, "data"), RunDir: run, Logger: slog.New(slog.DiscardHandler)}
}

func TestMain(m *testing.M) {
	if run := os.Getenv(childRun); run != "" {
		if _, err := Start(context.Background(), childConfig(run)); err != nil {
			os.Exit(1)
		}
		select {}
	}
	goleak.VerifyTestMain(m)
}

// runDir returns a new directory whose path is short enough for a socket.
func runDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bs") //nolint:usetesting // t.TempDir has the test's name in its path
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func config(t *testing.T) Config {
	t.Helper()
	return Config{Dir: t.TempDir(), RunDir: runDir(t), Logger: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func client(t *testing.T, s *Server) *clientv3.Client {
	t.Helper()
	c, err := s.Client(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // some tests have closed it
	return c
}

func TestRestartKeepsData(t *testing.T) {
	var logged bytes.Buffer
	cfg := config(t)
	cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	var cluster, member uint64
	for i, value := range []string{"", "one", "two"} {
		began := time.Now()
		s := start(t, cfg)
		t.Logf("start %d took %v", i, time.Since(began))

		c := client(t, s)
		got, err := c.Get(t.Context(), "k")
		require.NoError(t, err)
		if value != "" {
			require.Equal(t, value, string(got.Kvs[0].GetValue()))
			require.Equal(t, cluster, got.Header.GetClusterId())
			require.Equal(t, member, got.Header.GetMemberId())
		}
		cluster, member = got.Header.GetClusterId(), got.Header.GetMemberId()
		require.NotZero(t, cluster)
		require.NotZero(t, member)
		require.NotZero(t, got.Header.GetRaftTerm())
		_, err = c.Put(t.Context(), "k", []string{"one", "two", "three"}[i])
		require.NoError(t, err)

		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "a second Close does nothing")
		<-s.Stopped()
		require.NoFileExists(t, filepath.Join(cfg.RunDir, "etcd.sock"))
	}
	require.Empty(t, logged.String(), "ordinary starts and stops log nothing")
}

func TestCloseCutsWatchesOff(t *testing.T) {
	s := start(t, config(t))
	c := client(t, s)
	w := c.Watch(t.Context(), "k", clientv3.WithCreatedNotify())
	require.True(t, (<-w).Created)
	began := time.Now()
	require.NoError(t, s.Close())
	require.Less(t, time.Since(began), 5*time.Second, "etcd alone waits for longer")
}

func TestSideBySide(t *testing.T) {
	a, b := start(t, config(t)), start(t, config(t))
	ca, cb := client(t, a), client(t, b)
	_, err := ca.Put(t.Context(), "k", "a")
	require.NoError(t, err)
	got, err := cb.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Empty(t, got.Kvs)
	own, err := ca.Get(t.Context(), "k")
	require.NoError(t, err)
	require.NotEqual(t, own.Header.GetClusterId(), got.Header.GetClusterId())
	require.NotEqual(t, own.Header.GetMemberId(), got.Header.GetMemberId())
}

func TestListensOnItsSocketOnly(t *testing.T) {
	cfg := config(t)
	s := start(t, cfg)
	require.Equal(t, "unix://"+filepath.Join(cfg.RunDir, "etcd.sock"), s.Endpoint())
	require.Empty(t, s.etcd.Peers)
	require.Len(t, s.etcd.Clients, 1)
	require.Equal(t, "unix", s.etcd.Clients[0].Addr().Network())
	require.Empty(t, s.etcd.Config().ListenMetricsUrls)
	info, err := os.Stat(cfg.RunDir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestLocked(t *testing.T) {
	cfg := config(t)
	start(t, cfg)

	same := cfg
	same.RunDir = runDir(t)
	_, err := Start(t.Context(), same)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, cfg.Dir)

	same = cfg
	same.Dir = t.TempDir()
	_, err = Start(t.Context(), same)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, cfg.RunDir)
}

func TestNewerDataIsRefusedAndLeftAlone(t *testing.T) {
	cfg := config(t)
	s := start(t, cfg)
	require.NoError(t, s.Close())
	path := filepath.Join(cfg.Dir, "FORMAT")
	ours, err := os.ReadFile(path)
	require.NoError(t, err)
	var f format
	require.NoError(t, json.Unmarshal(ours, &f))
	require.Equal(t, format{Format: 1, EtcdMajor: 3, EtcdMinor: 7, Token: f.Token, Ready: true}, f)

	for name, newer := range map[string]format{
		"format":     {Format: 2, EtcdMajor: 3, EtcdMinor: 7, Token: f.Token},
		"etcd minor": {Format: 1, EtcdMajor: 3, EtcdMinor: 8, Token: f.Token},
		"etcd major": {Format: 1, EtcdMajor: 4, EtcdMinor: 0, Token: f.Token},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, writeFormat(path, newer))
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			_, err = Start(t.Context(), cfg)
			require.ErrorIs(t, err, ErrNewerFormat)
			require.ErrorContains(t, err, cfg.Dir)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(before), string(after))
		})
	}
	t.Run("older is raised", func(t *testing.T) {
		require.NoError(t, writeFormat(path, format{Format: 1, EtcdMajor: 3, EtcdMinor: 6, Token: f.Token, Ready: true}))
		require.NoError(t, start(t, cfg).Close())
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.JSONEq(t, string(ours), string(after))
	})
	t.Run("missing", func(t *testing.T) {
		require.NoError(t, os.Remove(path))
		_, err := Start(t.Context(), cfg)
		require.ErrorContains(t, err, cfg.Dir+" holds data but no FORMAT file")
		require.NoFileExists(t, path)
	})
	t.Run("garbage", func(t *testing.T) {
		for _, garbage := range []string{"", "{", "7", `{"format":0}`} {
			require.NoError(t, os.WriteFile(path, []byte(garbage), 0o600))
			_, err := Start(t.Context(), cfg)
			require.ErrorContains(t, err, path)
		}
	})
}

func TestConfigIsValidated(t *testing.T) {
	ok := Config{Dir: "d", RunDir: "/r", Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, ok.Validate())
	for want, change := range map[string]func(*Config){
		"Dir is missing":    func(c *Config) { c.Dir = "" },
		"RunDir is missing": func(c *Config) { c.RunDir = "" },
		"Logger is missing": func(c *Config) { c.Logger = nil },
		"at most 103 work":  func(c *Config) { c.RunDir = "/" + strings.Repeat("x", 100) },
	} {
		bad := ok
		change(&bad)
		_, err := Start(t.Context(), bad)
		require.ErrorContains(t, err, want)
	}
}

func TestCancelledStart(t *testing.T) {
	cfg := config(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	_, err := Start(ctx, cfg)
	require.Error(t, err)
	start(t, cfg) // neither the locks nor the data are in the way
}

func TestDamagedDataIsAnError(t *testing.T) {
	run := runDir(t)
	cfg := childConfig(run)
	require.NoError(t, start(t, cfg).Close())
	wals, err := filepath.Glob(filepath.Join(cfg.Dir, "store", "member", "wal", "*.wal"))
	require.NoError(t, err)
	require.NotEmpty(t, wals)
	for _, w := range wals {
		require.NoError(t, os.WriteFile(w, []byte("not a log"), 0o600))
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0]) // etcd may leave goroutines behind: a process of its own
	cmd.Env = append(os.Environ(), childRun+"="+run)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode(), "Start returned an error: %s", out)
}

// TestFirstStartThatNeverEnded has what a kill in the first moments leaves: a log
// without members. It is begun again instead of waiting for them.
func TestFirstStartThatNeverEnded(t *testing.T) {
	cfg := config(t)
	require.NoError(t, start(t, cfg).Close())
	path := filepath.Join(cfg.Dir, "FORMAT")
	f, err := takeFormat(cfg.Dir, format{Format: 1, EtcdMajor: 3, EtcdMinor: 7})
	require.NoError(t, err)
	f.Ready = false
	require.NoError(t, writeFormat(path, f))
	left := filepath.Join(storeDir(cfg.Dir), "member", "left")
	require.NoError(t, os.WriteFile(left, nil, 0o600))
	s := start(t, cfg)
	require.NoFileExists(t, left)
	_, err = client(t, s).Put(t.Context(), "k", "v")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	got, err := client(t, start(t, cfg)).Get(t.Context(), "k")
	require.NoError(t, err)
	require.Len(t, got.Kvs, 1, "from then on data are kept")
}

// TestKilledStart kills a first start, and the ones that follow, at random moments:
// a start must then always work.
func TestKilledStart(t *testing.T) {
	for range 6 {
		run := runDir(t)
		for range 6 {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childRun+"="+run)
			require.NoError(t, cmd.Start())
			<-time.After(rand.N(80 * time.Millisecond))
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
		}
		s := start(t, childConfig(run))
		_, err := client(t, s).Put(t.Context(), "k", "v")
		require.NoError(t, err)
	}
}
