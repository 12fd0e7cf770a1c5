package consumer_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// TestLogWithoutItsRegisters: a journal that has lost them lets anything pass. The primary fails for it, and goes on once it has
// taken the log over again, from what was committed before.
func TestLogWithoutItsRegisters(t *testing.T) {
	w := newLoggedWorld(t, recorded)
	h := w.keeps(0, new(keeper), time.Nanosecond)
	h.Apply(loggedSpec())
	h.Await("a-shard", hasPrimary)
	readThrough(t, h, "a-shard", "some/in", w.publish("some/in", 0, 100))
	b, err := w.client.Barrier(t.Context(), recorded)
	require.NoError(t, err)
	_, err = w.client.Append(t.Context(), client.AppendParams{Journal: recorded, Subtract: b.Registers}, strings.NewReader("garbage"))
	require.NoError(t, err)
	failed := h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED) // idle as it is
	require.Contains(t, failed.GetErrors()[0], "the journal lost its registers")
	head := w.publish("some/in", 100, 200)
	readThrough(t, h, "a-shard", "some/in", head)
	h.Stop()
	w.requireKept(200, &recoverylog.FSMHints{Log: recorded})
}

// TestLogOutOfReach: a shard that fails while its commit waits for brokers that are gone says so, and doesn't wait for them. A host
// that ends doesn't either.
func TestLogOutOfReach(t *testing.T) {
	for name, fail := range map[string]error{"fails": errors.New("not liked"), "ends": nil} {
		t.Run(name, func(t *testing.T) {
			w := newLoggedWorld(t, recorded)
			gone, committing, deferred := make(chan struct{}), make(chan struct{}), false
			h := w.keeps(0, &keeper{
				quiet: true,
				consume: func(ctx context.Context, e *entry) error {
					switch {
					case e.N == 5 && !deferred:
						deferred = true
						return consumer.ErrDeferToNextTransaction
					case e.N == 5:
						close(committing)
						if fail == nil {
							<-ctx.Done()
						}
						return fail
					}
					return nil
				},
				finalize: func(context.Context) {
					if deferred {
						<-gone
					}
				},
			}, time.Nanosecond)
			h.Apply(loggedSpec())
			h.Await("a-shard", hasPrimary)
			w.publish("some/in", 0, 10)
			w.broker.Kill()
			close(gone)
			<-committing
			if fail != nil {
				require.Contains(t, h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED).GetErrors()[0], "not liked")
			}
			require.NoError(t, h.Kill(t.Context()))
			w.broker.Restart()
			after := w.keeps(1, new(keeper), time.Nanosecond)
			after.Await("a-shard", hasPrimary)
			head := w.publish("some/in", 10, 20)
			readThrough(t, after, "a-shard", "some/in", head)
			after.Stop()
			_, seen := w.kept(&recoverylog.FSMHints{Log: recorded})
			requireOnce(t, 20, seen)
		})
	}
}

// TestLogThatIsNotThere is named by the shard's error, and used once it is.
func TestLogThatIsNotThere(t *testing.T) {
	w := newLoggedWorld(t)
	h := w.keeps(0, new(keeper), time.Nanosecond)
	h.Apply(loggedSpec())
	text := h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED).GetErrors()[0]
	require.Contains(t, text, recorded)
	require.Contains(t, text, "JOURNAL_NOT_FOUND")
	w.createLogs(recorded)
	readThrough(t, h, "a-shard", "some/in", w.publish("some/in", 0, 10))
	h.Stop()
	w.requireKept(10, &recoverylog.FSMHints{Log: recorded})
}

// forkedTo returns hints of a log's end, by which a shard goes on in another.
func (w *world) forkedTo(log string, hints *recoverylog.FSMHints) *recoverylog.FSMHints {
	w.t.Helper()
	_, r := w.played(hints)
	out := r.FSM.BuildHints()
	for _, node := range out.GetLiveNodes() {
		for _, s := range node.GetSegments() {
			s.Log = cmp.Or(s.GetLog(), out.GetLog())
		}
	}
	out.Log = log
	return out
}

// TestForkToANewLog: a shard without transactions under way is given hints by which it goes on in another log. Those that it had
// before are no hints of that one, and its primary doesn't put such hints there any more.
func TestForkToANewLog(t *testing.T) {
	w := newLoggedWorld(t, recorded)
	spec := loggedSpec()
	h := w.keeps(0, new(keeper), time.Minute)
	h.Apply(spec)
	h.Await("a-shard", hasPrimary)
	readThrough(t, h, "a-shard", "some/in", w.publish("some/in", 0, 300))
	awaitHints(t, h, "/hints/a-shard.primary", `"live_nodes":[{`)

	// Hints of the log that it had are none of the one that it is to have.
	spec.RecoveryLogPrefix = "recovery/fork-0"
	w.createLogs(spec.RecoveryLog())
	h.Apply(spec)
	text := h.AwaitCode("a-shard", shards.ReplicaStatus_FAILED).GetErrors()[0]
	require.Contains(t, text, `are of log "recovery/logs/a-shard", and the shard's is "recovery/fork-0/a-shard"`)
	hints, n := &recoverylog.FSMHints{Log: recorded}, 300
	for i := range 4 {
		spec.RecoveryLogPrefix = fmt.Sprintf("recovery/fork-%d", i)
		if i > 0 {
			w.createLogs(spec.RecoveryLog())
		}
		hints = w.forkedTo(spec.RecoveryLog(), hints)
		spec.Disable = true // until whoever has it now, and would consume more, is gone
		applied, err := h.Client().Apply(t.Context(), &shards.ApplyRequest{Changes: []*shards.ApplyRequest_Change{
			{Upsert: spec, ExpectModRevision: -1, PrimaryHints: hints},
		}})
		require.NoError(t, err)
		require.Equal(t, shards.Status_OK, applied.GetStatus())
		h.Await("a-shard", func(s *shards.ListResponse_Shard) bool { return len(s.GetRoute().GetMembers()) == 0 })
		spec.Disable = false
		h.Apply(spec)
		readThrough(t, h, "a-shard", "some/in", w.publish("some/in", n, n+100))
		n += 100
	}
	require.NoError(t, h.Kill(t.Context()))
	h = w.keeps(1, new(keeper), time.Nanosecond)
	readThrough(t, h, "a-shard", "some/in", w.publish("some/in", n, n+100))
	n += 100
	h.Stop()
	now := w.primaryHints()
	require.Equal(t, spec.RecoveryLog(), now.GetLog())
	w.requireKept(n, now)
	w.requireKept(n, hints)
	_, seen := w.kept(&recoverylog.FSMHints{Log: recorded})
	requireOnce(t, 300, seen)
}
