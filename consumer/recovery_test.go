package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// logs are recovery logs that need no journals: each knows who took it over, and what players were given.
type logs struct {
	mu     sync.Mutex
	takers map[string]int
	played []*recoverylog.FSMHints
	broken error // of each Play, if it isn't nil
}

func (l *logs) NewPlayer(hints *recoverylog.FSMHints, dir string) (consumer.Player, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.played = append(l.played, hints)
	return &player{logs: l, log: hints.GetLog(), dir: dir, caughtUp: make(chan struct{}), take: make(chan struct{})}, nil
}

type player struct {
	logs           *logs
	log, dir       string
	caughtUp, take chan struct{}
	number         int
}

func (p *player) Play(ctx context.Context) error {
	if p.logs.broken != nil {
		return p.logs.broken
	}
	close(p.caughtUp)
	select {
	case <-p.take:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.logs.mu.Lock()
	defer p.logs.mu.Unlock()
	p.logs.takers[p.log]++
	p.number = p.logs.takers[p.log]
	return nil
}

func (p *player) CaughtUp() <-chan struct{} { return p.caughtUp }
func (p *player) TakeOver() error {
	close(p.take)
	return nil
}
func (p *player) Recorder(context.Context) (consumer.Recorder, error) { return &recorder{p}, nil }

// recorder whose hints tell which taker of its log it is of.
type recorder struct{ *player }

func (r *recorder) Dir() string { return r.dir }
func (*recorder) FS() vfs.FS    { return vfs.Default }
func (*recorder) Close() error  { return nil }
func (*recorder) Barrier(...async.Operation) async.Operation {
	done := make(chan struct{})
	close(done)
	return &operation{done: done}
}

func (r *recorder) Hints(context.Context) (*recoverylog.FSMHints, error) {
	return &recoverylog.FSMHints{Log: r.log, Properties: []*recoverylog.Property{{Path: "/taker", Content: strconv.Itoa(r.number)}}}, nil
}

func taker(h *shards.GetHintsResponse_ResponseHints) string {
	if h.GetHints() == nil {
		return "none"
	}
	return h.GetHints().GetProperties()[0].GetContent()
}

// TestRecoveryLog: a standby follows the log, its primary writes hints now and then, and each recovery that succeeds puts
// its own before the backups of those before it.
func TestRecoveryLog(t *testing.T) {
	w := newWorld(t, "some/in")
	v, l := newVault(), &logs{takers: make(map[string]int)}
	next := func(i int) *consumertest.Host {
		return w.host(&tally{v: v}, func(c *consumertest.Config) {
			c.Suffix = fmt.Sprintf("consumer-%d", i)
			c.Adjust = func(c *consumer.Config) { c.RecoveryLogs, c.HintsInterval = l, time.Millisecond }
		})
	}
	one, two := next(1), next(2)
	spec := consumertest.Spec("a-shard", "some/in")
	spec.RecoveryLogPrefix, spec.HintPrefix, spec.HintBackups, spec.HotStandbys = "recovery/logs", "/hints", 2, 1
	one.Apply(spec)
	both := func(s *shards.ListResponse_Shard) bool {
		codes := make(map[shards.ReplicaStatus_Code]int)
		for _, r := range s.GetStatus() {
			codes[r.GetCode()]++
		}
		return codes[shards.ReplicaStatus_PRIMARY] == 1 && codes[shards.ReplicaStatus_STANDBY] == 1
	}
	s := one.Await("a-shard", both)
	head := w.publish("some/in", 0, 10)
	readThrough(t, one, "a-shard", "some/in", head)
	awaitHints(t, one, "/hints/a-shard.primary", `"1"`)

	// The primary goes, and the standby takes over.
	stay, go1 := one, two
	if s.GetRoute().GetMembers()[s.GetRoute().GetPrimary()].GetSuffix() == "consumer-1" {
		stay, go1 = two, one
	}
	go1.Stop()
	awaitHints(t, stay, "/hints/a-shard.primary", `"2"`)
	hints, err := stay.Client().GetHints(t.Context(), &shards.GetHintsRequest{Shard: "a-shard"})
	require.NoError(t, err)
	require.Equal(t, "2", taker(hints.GetPrimaryHints()))
	require.Len(t, hints.GetBackupHints(), 2)
	require.Equal(t, "2", taker(hints.GetBackupHints()[0]))
	require.Equal(t, "1", taker(hints.GetBackupHints()[1]))
	head = w.publish("some/in", 10, 20)
	readThrough(t, stay, "a-shard", "some/in", head)
	requireOnce(t, 20, v.of("a-shard").seen)

	// Who comes anew is given the hints of the primary.
	three := next(3)
	three.Await("a-shard", both)
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(t, "recovery/logs/a-shard", l.played[0].GetLog())
	require.Empty(t, l.played[0].GetProperties())
	require.Equal(t, "2", l.played[len(l.played)-1].GetProperties()[0].GetContent())
}

// awaitHints until a key has them with a text.
func awaitHints(t *testing.T, h *consumertest.Host, key, text string) {
	t.Helper()
	for range h.Etcd.Watch(t.Context(), key, clientv3.WithCreatedNotify()) {
		r, err := h.Etcd.Get(t.Context(), key)
		require.NoError(t, err)
		if len(r.Kvs) == 1 && bytes.Contains(r.Kvs[0].GetValue(), []byte(text)) {
			return
		}
	}
	t.Fatalf("there are no hints %s with %s", key, text)
}

// TestLogThatCannotBePlayed fails the shard, with its error.
func TestLogThatCannotBePlayed(t *testing.T) {
	w := newWorld(t, "some/in")
	l := &logs{takers: make(map[string]int), broken: errors.New("it has a hole")}
	h := w.host(&tally{v: newVault()}, func(c *consumertest.Config) { c.Adjust = func(c *consumer.Config) { c.RecoveryLogs = l } })
	spec := consumertest.Spec("a-shard", "some/in")
	spec.RecoveryLogPrefix, spec.HintPrefix = "recovery/logs", "/hints"
	h.Apply(spec)
	text := h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED).GetErrors()[0]
	require.True(t, strings.HasSuffix(text, "it has a hole"), text)

	// Hints may be put with a shard, by a host that plays no logs too.
	other := w.host(&tally{v: newVault()}, func(c *consumertest.Config) {
		c.Adjust = func(c *consumer.Config) { c.Prefix += "2" }
	})
	r, err := other.Client().Apply(t.Context(), &shards.ApplyRequest{Changes: []*shards.ApplyRequest_Change{
		{Upsert: spec, PrimaryHints: &recoverylog.FSMHints{Log: spec.RecoveryLog()}},
	}})
	require.NoError(t, err)
	require.Equal(t, shards.Status_OK, r.GetStatus())
	hints, err := other.Client().GetHints(t.Context(), &shards.GetHintsRequest{Shard: "a-shard"})
	require.NoError(t, err)
	require.NoError(t, hints.Validate())
	require.Equal(t, spec.RecoveryLog(), hints.GetPrimaryHints().GetHints().GetLog(), "those that were put with the shard")
}
