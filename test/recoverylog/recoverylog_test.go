package recoverylog_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/direct"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const log, dir = "recovery/shards/words-000", "/store"

// quiet is a logger of Pebble that says nothing, and takes a write that fails for the end of the database.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// cluster is a broker, and what hosts share of their access to it.
type cluster struct {
	t       *testing.T
	broker  *brokertest.Broker
	client  *client.Client
	service *async.Service
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, broker: brokertest.New(t, brokertest.Config{Quiet: true})}
	c.create()
	var err error
	c.client, err = client.Dial(t.Context(), client.Config{
		Endpoint: c.broker.Endpoint(), AppendStreams: true, Routes: client.RouteCache{Size: 10},
		Fragments: &direct.Config{FileRoot: filepath.Join(c.broker.Dir, "fragments")},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.client.Close()) })
	c.service, err = async.New(t.Context(), c.client, async.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.service.Close()) })
	return c
}

// create the log, with fragments that are closed, and stored, all the while.
func (c *cluster) create() {
	spec := brokertest.Spec(log)
	spec.Labels = protocol.MustLabelSet("content-type", "application/x-gazette-recoverylog")
	spec.Fragment.Length = 16 << 10
	c.broker.Create(spec)
}

func (c *cluster) player(hints *recoverylog.FSMHints, base vfs.FS) *recoverylog.Player {
	p, err := recoverylog.NewPlayer(recoverylog.PlayerConfig{Journals: recoverylog.Brokers(c.client), Hints: hints, FS: base, Dir: dir})
	require.NoError(c.t, err)
	return p
}

// host has a database whose log it has taken over.
type host struct {
	recorder *recoverylog.Recorder
	fs       vfs.FS
	db       *pebble.DB
}

// open what was played, and record to the log from now on.
func (c *cluster) open(base vfs.FS, r *recoverylog.Recovered) *host {
	h := new(host)
	var err error
	h.recorder, err = recoverylog.NewRecorder(c.t.Context(), recoverylog.RecorderConfig{Recovered: r, Run: c.service.NewRun(async.AtLeastOnce), Dir: dir})
	require.NoError(c.t, err)
	h.fs = recoverylog.FS(h.recorder, base)
	h.db, err = pebble.Open(dir, &pebble.Options{FS: h.fs, Logger: quiet{}, MemTableSize: 32 << 10, FormatMajorVersion: pebble.FormatNewest})
	require.NoError(c.t, err)
	return h
}

func (c *cluster) takeOver(hints *recoverylog.FSMHints) *host {
	author, err := recoverylog.NewAuthor()
	require.NoError(c.t, err)
	base := vfs.NewMem()
	p := c.player(hints, base)
	require.NoError(c.t, p.InjectHandOff(author))
	r, err := p.Play(c.t.Context())
	require.NoError(c.t, err)
	return c.open(base, r)
}

// count up n keys, each by a commit that is in the log.
func (h *host) count(t *testing.T, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		require.NoError(t, h.db.Set(fmt.Appendf(nil, "key %06d", i), fmt.Appendf(nil, "%0200d", i), pebble.Sync))
	}
}

// requireCount that the keys are those below n.
func (h *host) requireCount(t *testing.T, n int) {
	t.Helper()
	it, err := h.db.NewIter(nil)
	require.NoError(t, err)
	i := 0
	for it.First(); it.Valid(); it.Next() {
		require.Equal(t, fmt.Sprintf("key %06d", i), string(it.Key()))
		require.Equal(t, fmt.Sprintf("%0200d", i), string(it.Value()))
		i++
	}
	require.NoError(t, it.Close())
	require.Equal(t, n, i)
}

// requireFenced that nothing of the host gets into the log any more. A database can't be used, nor closed, whose disk fails.
func (c *cluster) requireFenced(h *host) {
	_, err := h.fs.Create(dir+"/late", vfs.WriteCategoryUnspecified)
	if err == nil {
		err = h.recorder.Barrier().Err()
	}
	require.ErrorIs(c.t, err, recoverylog.ErrFenced)
	require.ErrorIs(c.t, h.recorder.Barrier().Err(), recoverylog.ErrFenced)
}

// TestTakeOver: a database goes from host to host, by hints and without; a host that was taken over is fenced, over restarts of
// the broker too; and a standby follows, and takes over what was committed.
func TestTakeOver(t *testing.T) {
	c := newCluster(t)
	begin := &recoverylog.FSMHints{Log: log}
	first := c.takeOver(begin)
	first.count(t, 0, 200)
	require.NoError(t, first.db.Flush())
	hints, err := first.recorder.Hints(t.Context())
	require.NoError(t, err)
	first.count(t, 200, 50)
	require.NoError(t, first.db.Close())

	second := c.takeOver(hints)
	second.requireCount(t, 250)
	c.requireFenced(first)
	second.count(t, 250, 50)

	base := vfs.NewMem()
	standby := c.player(hints, base)
	var recovered *recoverylog.Recovered
	tasks := task.New(t.Context(), "standby")
	tasks.Go("play", func(ctx context.Context) error {
		var err error
		recovered, err = standby.Play(ctx)
		return err
	})
	<-standby.Tailing()
	second.count(t, 300, 100)
	c.broker.Restart()
	second.count(t, 400, 10)
	require.NoError(t, second.db.Close())
	author, err := recoverylog.NewAuthor()
	require.NoError(t, err)
	require.NoError(t, standby.InjectHandOff(author))
	require.NoError(t, tasks.Wait())
	third := c.open(base, recovered)
	third.requireCount(t, 410)
	c.requireFenced(second)
	third.count(t, 410, 10)
	require.NoError(t, third.db.Close())

	c.broker.Kill()
	c.broker.Restart()
	require.NoError(t, third.recorder.Barrier().Err(), "registers are kept")
	for _, x := range []*recoverylog.FSMHints{begin, hints} {
		last := c.takeOver(x)
		last.requireCount(t, 420)
		require.NoError(t, last.db.Close())
	}
	c.requireFenced(third)
}

// TestRegistersThatAreLost: a journal without any lets anything pass. Neither host commits then, nor later on; who takes over from
// them has what they committed before.
func TestRegistersThatAreLost(t *testing.T) {
	c := newCluster(t)
	first := c.takeOver(&recoverylog.FSMHints{Log: log})
	first.count(t, 0, 10)
	require.NoError(t, first.db.Close())
	second := c.takeOver(&recoverylog.FSMHints{Log: log})
	second.count(t, 10, 10)
	require.NoError(t, second.db.Close())
	hints, err := second.recorder.Hints(t.Context())
	require.NoError(t, err)

	barrier, err := c.client.Barrier(t.Context(), log)
	require.NoError(t, err)
	r, err := c.client.Append(t.Context(), client.AppendParams{Journal: log, Subtract: barrier.Registers}, strings.NewReader("garbage"))
	require.NoError(t, err)
	require.Empty(t, r.GetRegisters().GetLabels())
	for _, h := range []*host{first, second} {
		c.requireFenced(h)
		fenced, ok := errors.AsType[*recoverylog.FencedError](h.recorder.Err())
		require.True(t, ok)
		require.True(t, fenced.Lost)
	}
	third := c.takeOver(hints)
	third.requireCount(t, 20)
	third.count(t, 20, 10)
	require.NoError(t, third.db.Close())
	c.requireFenced(second)
}
