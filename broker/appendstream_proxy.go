package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

const (
	// maxProxies is for how many journals a stream's appends are forwarded at a time.
	maxProxies = 64
	// forwardBatch is from how many bytes on a forwarded message takes no more appends.
	forwardBatch = 256 << 10
)

// laneProxy forwards the appends of a lane to the primary, by a stream of its own whose token is
// for just that journal.
type laneProxy struct {
	primary *protocol.ProcessSpec_ID
	stream  grpc.BidiStreamingClient[streaming.AppendStreamRequest, streaming.AppendStreamResponse]
	cancel  context.CancelFunc
	header  *protocol.Header // of runs that are opened
	done    chan struct{}    // closed once all results have come

	sequence uint64                // of the last append that was sent
	opened   map[*streamRun]uint32 // handles there

	mu       sync.Mutex
	sent     []*streamAppend // without a result, in order
	answered bool            // a result has come
	broken   bool
}

// forward appends to the primary.
func (s *appendStream) forward(ctx context.Context, l *lane, res resolution, batch []*streamAppend) {
	p, err := s.proxyOf(ctx, l, res)
	if err != nil {
		s.refuse(batch, outcome{err: err})
		return
	}
	m, size := new(streaming.AppendStreamRequest), 0
	flush := func() {
		if len(m.GetAppends()) > 0 {
			_ = p.stream.Send(m) // If it is broken its results tell why.
		}
		m, size = new(streaming.AppendStreamRequest), 0
	}
	for _, a := range batch {
		if a.run.failed.Load() {
			a.complete(outcome{notApplied: true})
			continue
		}
		if a.content != nil {
			flush()
			if err := p.forwardParts(a); err != nil {
				p.cancel()
			}
			continue
		}
		out, taken := p.next(a, m)
		if !taken {
			s.refuse([]*streamAppend{a}, outcome{err: errProxyEnded})
			continue
		}
		out.Content = a.small
		if size += len(a.small); size >= forwardBatch {
			flush()
		}
	}
	flush()
}

// errProxyEnded refuses an append that wasn't forwarded.
var errProxyEnded = status.Error(codes.Unavailable, "the stream to the primary has ended")

// proxyOf a lane to the primary that it was resolved to.
func (s *appendStream) proxyOf(ctx context.Context, l *lane, res resolution) (*laneProxy, error) {
	member := int(res.header.GetRoute().GetPrimary())
	primary := res.header.GetRoute().GetMembers()[member]
	if p := l.proxy; p != nil && !p.isBroken() && protocol.CompareProcessIDs(p.primary, primary) == 0 {
		p.header = proxyHeader(res.header, member)
		return p, nil
	}
	l.dropProxy(s)
	if !s.takeProxy() {
		return nil, errManyProxies
	}
	p, err := s.openProxy(ctx, l, res, member)
	if err != nil {
		s.giveProxy()
		return nil, err
	}
	s.mu.Lock()
	l.proxy = p
	s.mu.Unlock()
	return p, nil
}

func (s *appendStream) openProxy(ctx context.Context, l *lane, res resolution, member int) (*laneProxy, error) {
	route := res.header.GetRoute()
	failed := func(err error) error {
		return status.Errorf(codes.Unavailable, "journal %s: forward to broker %s: %s", l.journal, memberID(route.GetMembers()[member]), err)
	}
	conn, err := s.broker.env.peers.conn(route.EndpointOf(member))
	if err != nil {
		return nil, failed(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	if ctx, err = s.broker.signer.proxy(ctx, auth.Append, l.journal); err != nil {
		cancel()
		return nil, failed(err)
	}
	stream, err := streaming.NewJournalClient(conn).AppendStream(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	p := &laneProxy{
		primary: route.GetMembers()[member], stream: stream, cancel: cancel, header: proxyHeader(res.header, member),
		done: make(chan struct{}), opened: make(map[*streamRun]uint32),
	}
	s.group.Go("forwarded "+l.journal, func(context.Context) error {
		defer cancel()
		p.receive()
		return nil
	})
	return p, nil
}

// takeProxy takes one of the stream's proxies, if there are any left.
func (s *appendStream) takeProxy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proxies == maxProxies {
		return false
	}
	s.proxies++
	return true
}

func (s *appendStream) giveProxy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxies--
}

// dropProxy ends the lane's proxy, if it has one, once all results have come.
func (l *lane) dropProxy(s *appendStream) {
	p := l.proxy
	if p == nil {
		return
	}
	p.end()
	<-p.done
	s.mu.Lock()
	l.proxy = nil
	s.mu.Unlock()
	s.giveProxy()
}

// end tells the primary that nothing follows.
func (p *laneProxy) end() { _ = p.stream.CloseSend() }

func (p *laneProxy) isBroken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

// next gives an append its place in a message; false if the stream has ended.
func (p *laneProxy) next(a *streamAppend, m *streaming.AppendStreamRequest) (*streaming.AppendStreamRequest_Append, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return nil, false
	}
	p.sent = append(p.sent, a)
	handle, ok := p.opened[a.of]
	if !ok {
		handle = a.of.open.GetHandle()
		for run, h := range p.opened {
			if h == handle {
				delete(p.opened, run) // The client has opened it anew.
			}
		}
		p.opened[a.of] = handle
		m.Opens = append(m.Opens, &streaming.AppendStreamRequest_Open{
			Handle: handle, Journal: a.of.open.GetJournal(), MinEtcdRevision: a.of.open.GetMinEtcdRevision(), Header: p.header,
		})
	}
	p.sequence++
	out := &streaming.AppendStreamRequest_Append{
		Sequence: p.sequence, Handle: handle, Offset: a.offset,
		CheckRegisters: a.check, UnionRegisters: a.union, SubtractRegisters: a.subtract,
		Synced: a.synced,
	}
	m.Appends = append(m.Appends, out)
	return out, true
}

// forwardParts sends an append that is in a file.
func (p *laneProxy) forwardParts(a *streamAppend) error {
	m := new(streaming.AppendStreamRequest)
	out, taken := p.next(a, m)
	if !taken {
		a.run.failed.Store(true)
		a.complete(outcome{err: errProxyEnded})
		return nil
	}
	for left := a.size; ; {
		part := make([]byte, min(left, forwardBatch))
		if _, err := io.ReadFull(a.content, part); err != nil {
			return fmt.Errorf("read the gathered append: %w", err)
		}
		left -= int64(len(part))
		out.Content, out.More = part, left > 0
		if err := p.stream.Send(m); err != nil || left == 0 {
			return err
		}
		out = &streaming.AppendStreamRequest_Append{Sequence: out.GetSequence(), Handle: out.GetHandle()}
		m = &streaming.AppendStreamRequest{Appends: []*streaming.AppendStreamRequest_Append{out}}
	}
}

// receive results until the stream ends. What has none then is unknown.
func (p *laneProxy) receive() {
	defer close(p.done)
	for {
		m, err := p.stream.Recv()
		if err != nil {
			p.fail(err)
			return
		}
		for _, r := range m.GetResults() {
			a := p.pop()
			if a == nil {
				p.fail(errors.New("a result of no append"))
				return
			}
			a.proxied = r
			if r.GetStatus() != protocol.Status_OK || r.GetNotApplied() || r.GetError() != "" || r.GetCode() != 0 || r.GetUnknown() {
				a.run.failed.Store(true)
			}
			a.complete(outcome{applied: true})
		}
	}
}

// pop the append whose result has come; nil if there is none.
func (p *laneProxy) pop() *streamAppend {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		return nil
	}
	a := p.sent[0]
	p.sent = p.sent[1:]
	p.answered = true
	return a
}

// fail what has no result.
func (p *laneProxy) fail(err error) {
	p.mu.Lock()
	sent := p.sent
	p.sent, p.broken = nil, true
	// A broker that doesn't offer streams has applied nothing.
	unknown := p.answered || status.Code(err) != codes.Unimplemented
	p.mu.Unlock()
	if errors.Is(err, io.EOF) {
		err = errProxyEnded
	}
	for _, a := range sent {
		a.run.failed.Store(true)
		a.complete(outcome{err: err, unknown: unknown})
	}
}
