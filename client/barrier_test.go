package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
)

// barrierRun is one run of the function that callers share. The test ends it.
type barrierRun struct {
	ctx    context.Context
	answer chan Barrier
	fail   chan error
}

// barrierScene is a line of callers within a synctest bubble, where the test decides
// when each run ends.
type barrierScene struct {
	lines barrierLines
	runs  chan *barrierRun
}

func newBarrierScene() *barrierScene {
	return &barrierScene{runs: make(chan *barrierRun, 100)}
}

func (s *barrierScene) run(ctx context.Context) (Barrier, error) {
	r := &barrierRun{ctx: ctx, answer: make(chan Barrier), fail: make(chan error)}
	s.runs <- r
	select {
	case b := <-r.answer:
		return b, nil
	case err := <-r.fail:
		return Barrier{}, err
	case <-ctx.Done():
		return Barrier{}, ctx.Err()
	}
}

// call starts a caller, and waits until it waits. Its result is sent on the channel.
func (s *barrierScene) call(ctx context.Context, journal string) <-chan string {
	out := make(chan string, 1)
	go func() {
		b, err := s.lines.wait(ctx, journal, s.run)
		if err != nil {
			out <- err.Error()
			return
		}
		out <- fmt.Sprintf("head %d", b.Head)
	}()
	synctest.Wait()
	return out
}

func (s *barrierScene) started(t *testing.T) *barrierRun {
	t.Helper()
	synctest.Wait()
	require.Len(t, s.runs, 1, "one run was started")
	return <-s.runs
}

func (s *barrierScene) none(t *testing.T) {
	t.Helper()
	synctest.Wait()
	require.Empty(t, s.runs, "no run was started")
}

func waiting(t *testing.T, callers ...<-chan string) {
	t.Helper()
	synctest.Wait()
	for _, c := range callers {
		require.Empty(t, c, "the caller waits")
	}
}

func TestBarrierServesWhoCalledBeforeItStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBarrierScene()
		first := s.call(t.Context(), "a")
		run := s.started(t)

		// Callers that come while it runs share the next one.
		second, third := s.call(t.Context(), "a"), s.call(t.Context(), "a")
		s.none(t)
		run.answer <- Barrier{Head: 10}
		require.Equal(t, "head 10", <-first)
		waiting(t, second, third)

		run = s.started(t)
		fourth := s.call(t.Context(), "a")
		run.answer <- Barrier{Head: 20}
		require.Equal(t, "head 20", <-second)
		require.Equal(t, "head 20", <-third)
		waiting(t, fourth)

		s.started(t).answer <- Barrier{Head: 30}
		require.Equal(t, "head 30", <-fourth)
		s.none(t)
		require.Empty(t, s.lines.lines, "no line outlives its callers")
	})
}

func TestBarriersOfJournalsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBarrierScene()
		a := s.call(t.Context(), "a")
		runA := s.started(t)
		b := s.call(t.Context(), "b")
		s.started(t).answer <- Barrier{Head: 2}
		require.Equal(t, "head 2", <-b)
		waiting(t, a)
		runA.answer <- Barrier{Head: 1}
		require.Equal(t, "head 1", <-a)
	})
}

func TestBarrierErrorIsSharedByItsCallersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBarrierScene()
		first := s.call(t.Context(), "a")
		second := s.call(t.Context(), "a")
		s.started(t).fail <- errors.New("boom")
		require.Equal(t, "boom", <-first)
		s.started(t).answer <- Barrier{Head: 2}
		require.Equal(t, "head 2", <-second)
	})
}

func TestBarrierOutlivesTheCallerThatRunsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBarrierScene()
		first := s.call(t.Context(), "a")
		running := s.started(t)
		ctx, cancel := context.WithCancel(t.Context())
		second := s.call(ctx, "a")
		third, fourth := s.call(t.Context(), "a"), s.call(t.Context(), "a")
		running.answer <- Barrier{Head: 1}
		require.Equal(t, "head 1", <-first)

		// Whoever runs it, it is run again for those that are left.
		run := s.started(t)
		cancel()
		synctest.Wait()
		require.Contains(t, <-second, "context canceled")
		if run.ctx.Err() != nil {
			run = s.started(t)
		}
		run.answer <- Barrier{Head: 2}
		require.Equal(t, "head 2", <-third)
		require.Equal(t, "head 2", <-fourth)
		s.none(t)
	})
}

func TestBarrierCallerLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBarrierScene()
		cause := errors.New("statement canceled")
		ctx, cancel := context.WithCancelCause(t.Context())
		first := s.call(t.Context(), "a")
		run := s.started(t)
		second := s.call(ctx, "a")
		cancel(cause)
		require.Equal(t, "barrier of a: statement canceled", <-second)
		run.answer <- Barrier{Head: 1}
		require.Equal(t, "head 1", <-first)
		s.none(t)
		require.Empty(t, s.lines.lines)
	})
}

// TestBarrierIsNeverOlderThanItsCall lets callers come, leave and be answered in any
// order, and proves that each is answered by a run that started after its call.
func TestBarrierIsNeverOlderThanItsCall(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newBarrierScene()
			started := int64(0) // runs so far: a run's number is its head
			type caller struct {
				since  int64
				result <-chan string
				cancel context.CancelFunc
			}
			var callers []caller
			var run *barrierRun
			steps := rapid.SliceOfN(rapid.SampledFrom([]string{"call", "answer", "leave", "fail"}), 1, 40).Draw(rt, "steps")
			for _, step := range append(steps, "answer", "answer", "answer") {
				switch {
				case step == "call":
					ctx, cancel := context.WithCancel(t.Context())
					callers = append(callers, caller{since: started, result: s.call(ctx, "a"), cancel: cancel})
				case step == "leave" && len(callers) != 0:
					callers[rapid.IntRange(0, len(callers)-1).Draw(rt, "who")].cancel()
				case step == "answer" && run != nil && run.ctx.Err() == nil:
					run.answer <- Barrier{Head: started}
				case step == "fail" && run != nil && run.ctx.Err() == nil:
					run.fail <- errors.New("boom")
				}
				synctest.Wait()
				if len(s.runs) != 0 {
					require.Len(t, s.runs, 1, "one run at a time")
					run = <-s.runs
					started++
				} else if step == "answer" || step == "fail" {
					run = nil
				}
			}
			for _, c := range callers {
				var head int64
				result := <-c.result
				if _, err := fmt.Sscanf(result, "head %d", &head); err == nil {
					require.Greater(t, head, c.since)
				}
				c.cancel()
			}
			s.none(t)
			require.Empty(t, s.lines.lines)
		})
	})
}

// TestBarrierIsPatientForATime: a journal that nobody serves is asked for until the client's patience is over, or
// sooner if a broker tells what it lacks.
func TestBarrierIsPatientForATime(t *testing.T) {
	for _, c := range []struct{ detail, want string }{
		{"", "append: a/journal: NO_JOURNAL_PRIMARY_BROKER"},
		{"no broker has room", "append: a/journal: NO_JOURNAL_PRIMARY_BROKER: no broker has room"},
	} {
		t.Run(c.detail, func(t *testing.T) {
			asked := 0
			endpoint := serveGRPC(t, func(r grpc.ServiceRegistrar) {
				protocol.RegisterJournalServer(r, refusingServer{detail: c.detail, asked: &asked})
			})
			brokers, err := Dial(t.Context(), Config{Endpoint: endpoint, Patience: 200 * time.Millisecond})
			require.NoError(t, err)
			defer func() { require.NoError(t, brokers.Close()) }()
			began := time.Now()
			_, err = brokers.Barrier(t.Context(), "a/journal")
			require.EqualError(t, err, c.want)
			require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
			require.Greater(t, asked, 1)
		})
	}
	long := &Client{patience: time.Minute}
	require.Equal(t, time.Minute, long.patienceFor(&protocol.StatusError{Status: protocol.Status_NO_JOURNAL_PRIMARY_BROKER}))
	require.Equal(t, explainedPatience, long.patienceFor(&protocol.StatusError{Status: protocol.Status_NO_JOURNAL_PRIMARY_BROKER, Detail: "why"}))
}

// refusingServer has no brokers for any journal, and tells why. One client asks it, one request after the other.
type refusingServer struct {
	protocol.UnimplementedJournalServer
	detail string
	asked  *int
}

func (s refusingServer) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	*s.asked++
	if s.detail != "" {
		stream.SetTrailer(metadata.Pairs(trailerDetail, s.detail))
	}
	return stream.SendAndClose(&protocol.AppendResponse{Status: protocol.Status_NO_JOURNAL_PRIMARY_BROKER, Header: readHeader()})
}
