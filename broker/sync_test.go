package broker

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/wire"
)

// fakePeer is the other member of a journal's route, which answers a sync as it is told to.
type fakePeer struct {
	state  *protocol.ReplicateResponse_State // it reports
	silent bool                              // it answers nothing
	broken bool                              // once it was polled

	aligned []*protocol.EpochList // to the last of which it was told to
}

// replicate as of replicator.
func (f *fakePeer) replicate(ctx context.Context, id *protocol.ProcessSpec_ID, _, _ string) (*peer, error) {
	ctx, cancel := context.WithCancel(ctx)
	return &peer{id: id, stream: &fakeStream{peer: f, ctx: ctx, answers: make(chan *protocol.ReplicateResponse, 8)}, cancel: cancel}, nil
}

type fakeStream struct {
	peer    *fakePeer
	ctx     context.Context
	answers chan *protocol.ReplicateResponse
}

func (s *fakeStream) Send(req *protocol.ReplicateRequest) error {
	f := s.peer
	switch {
	case f.silent:
	case req.GetPoll() != nil:
		f.state.Promised = req.GetPoll().GetEpoch()
		s.answers <- &protocol.ReplicateResponse{
			Header: &protocol.Header{ProcessId: &protocol.ProcessSpec_ID{Zone: "zone", Suffix: "other"}, Route: protocol.EmptyRoute(), Etcd: req.GetHeader().GetEtcd()},
			State:  f.state,
		}
	case f.broken:
		return io.EOF
	case req.GetAlign() != nil:
		f.aligned = append(f.aligned, req.GetAlign().GetEpochs())
		s.answers <- &protocol.ReplicateResponse{State: f.state}
	case req.GetAcknowledge():
		s.answers <- new(protocol.ReplicateResponse)
	}
	return nil
}

func (s *fakeStream) SendMsg(m any) error {
	return s.Send(m.(*wire.Outgoing).Message.(*protocol.ReplicateRequest)) //nolint:forcetypeassert // it is nothing else
}

func (s *fakeStream) Recv() (*protocol.ReplicateResponse, error) {
	if s.peer.broken && len(s.peer.aligned) == 0 && len(s.answers) == 0 {
		return nil, errors.New("connection reset")
	}
	select {
	case r := <-s.answers:
		return r, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

func (s *fakeStream) CloseSend() error { return nil }

// newPair is a replica whose journal has an epoch with a fake peer, up to offset 3.
func newPair(t *testing.T) (*lone, *fakePeer) {
	t.Helper()
	l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
	other := &protocol.ProcessSpec_ID{Zone: "zone", Suffix: "other"}
	disk := epoch.Disk{7}
	f := &fakePeer{state: &protocol.ReplicateResponse_State{Disk: disk[:], Registers: new(protocol.LabelSet)}}
	synctest.Wait()
	l.env.members = f
	l.env.directories.(*loneDirectories).change(func(e *entry) {
		e.etcd = &protocol.Header_Etcd{ClusterId: 1, MemberId: 1, Revision: 1, RaftTerm: 1}
		e.route = &protocol.Route{Members: []*protocol.ProcessSpec_ID{other, l.env.self}, Primary: 1}
	})
	l.append("one")
	last, _ := l.env.directories.(*loneDirectories).now.Load().epochs.Last()
	require.Len(t, last.Members, 2)
	f.state.Epoch = last.Number
	return l, f
}

// unanswered writes what the peer doesn't get, so that it isn't acknowledged.
func (l *lone) unanswered(content string) {
	l.t.Helper()
	n, err := l.acquire(l.t.Context())
	require.NoError(l.t, err)
	defer l.release(n)
	require.NoError(l.t, l.spool.Write([]byte(content)))
	_, err = l.spool.Commit(nil)
	require.NoError(l.t, err)
}

// TestSyncWithPeers: where a new route's epoch begins, when its other member has more than this broker, or less, or
// doesn't answer.
func TestSyncWithPeers(t *testing.T) {
	for name, c := range map[string]struct {
		theirs, want int64
		fresh        bool
	}{
		"as far":          {theirs: 8, want: 8},
		"ahead":           {theirs: 12, want: 8},
		"behind":          {theirs: 3, want: 3},
		"between":         {theirs: 5, want: 5},
		"never joined it": {fresh: true, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, f := newPair(t)
				l.unanswered("lo")
				l.unanswered("ng ")
				require.EqualValues(t, 8, l.spool.State().End)
				f.state.End = c.theirs
				if c.fresh {
					f.state.Epoch, f.state.End = 0, 0
				}
				err := l.again(l.env.entry(l.id))
				if c.fresh {
					// What was acknowledged is never cut: somebody lies, and the journal stands.
					require.ErrorContains(t, err, "start 0 is below offset 3, where what is kept ends")
					_ = l.close()
					return
				}
				require.NoError(t, err)
				told := f.aligned[len(f.aligned)-1].GetEpochs()
				require.Equal(t, c.want, told[len(told)-1].GetStart())
				require.Equal(t, c.want, l.spool.State().Begin)
				require.Equal(t, c.want, l.spool.State().Watermark)
				l.append("more")
				require.Equal(t, c.want+4, l.spool.State().Watermark)
				require.NoError(t, l.close())
			})
		})
	}
}

// TestSyncWithoutAnAnswer: of a peer that is silent, or is gone once it was polled, nothing is changed here; and as soon as
// it answers the journal goes on.
func TestSyncWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, f := newPair(t)
		before := l.spool.State()
		f.silent = true
		began := time.Now()
		require.Error(t, l.again(l.env.entry(l.id)))
		require.Equal(t, syncTimeout, time.Since(began))
		require.Equal(t, before, l.spool.State())

		f.state.End, f.silent, f.broken, f.aligned = 3, false, true, nil
		require.ErrorContains(t, l.again(l.env.entry(l.id)), "connection reset")
		require.Equal(t, before, l.spool.State())
		o := l.commit(t.Context(), l.ticket("two"))
		require.True(t, o.again)

		f.broken = false
		require.NoError(t, wait(t.Context(), time.Minute))
		l.append("two")
		require.EqualValues(t, 6, l.spool.State().Watermark)
		require.NoError(t, l.close())
	})
}

// TestResetGivesWay: a reset that waits for stores which hang keeps nobody from the tenure who polls for another epoch.
func TestResetGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		synctest.Wait()
		l.listing = newListing() // which nobody tends
		n, err := l.acquire(t.Context())
		require.NoError(t, err)
		given := make(chan error, 1)
		g := task.New(t.Context(), "reset")
		g.Go("give up", func(context.Context) error {
			given <- l.giveUpMissing(n, &ticket{offset: 100})
			return nil
		})
		synctest.Wait()
		began := time.Now()
		require.NoError(t, l.preempt(7))
		require.ErrorIs(t, <-given, context.Canceled)
		require.Zero(t, time.Since(began))
		require.Nil(t, l.holder.end)
		require.NoError(t, g.Wait())
		l.release(n)
		require.NoError(t, l.close())
	})
}

// TestResetOfAnothersJournal: appends to a journal that has another primary by now, as a reset finds out, are resolved again.
func TestResetOfAnothersJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		synctest.Wait()
		l.index.SetStored([]fragments.Fragment{{Journal: "a/journal", Begin: 0, End: 100, Store: "file:///"}})
		l.env.directories.(*loneDirectories).change(func(e *entry) {
			e.epochs = epoch.List{{Number: 1}}
			e.route = &protocol.Route{Members: e.route.GetMembers(), Primary: -1}
		})
		n, err := l.acquire(t.Context())
		require.NoError(t, err)
		n.revision = 1
		var tickets []*ticket
		for _, offset := range []int64{0, l.bound(l.env.entry(l.id).epochs), 0} {
			tickets = append(tickets, &ticket{spec: l.currentSpec(), offset: offset, finished: make(chan struct{})})
		}
		l.failMissing(n, tickets, new(epoch.MissingError))
		for _, k := range tickets {
			<-k.finished
			require.True(t, k.result.again, "%+v", k.result)
			require.NoError(t, k.result.err)
		}
		l.release(n)
		require.NoError(t, l.close())
	})
}
