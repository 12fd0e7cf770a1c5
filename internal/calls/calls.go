package calls

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// maxText bounds the texts that are kept of a call, each, in bytes.
const maxText = 512

// Recorder watches the calls of a server. It is a prometheus.Collector, and safe for concurrent use.
type Recorder struct {
	metrics *metrics
	methods sync.Map // *method by full name; gRPC calls interceptors for those only that are served.
}

// New returns a recorder of no calls yet.
func New() *Recorder { return &Recorder{metrics: newMetrics()} }

// ServerOptions are the interceptors. Those of options that come after them are inside.
func (r *Recorder) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(r.unary), grpc.ChainStreamInterceptor(r.stream)}
}

func (r *Recorder) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	m := r.method(info.FullMethod, "unary")
	c := m.begin(ctx)
	c.received(req)
	resp, err := handle(ctx, req)
	if err == nil {
		c.answered()
	}
	m.end(c, err)
	return resp, err
}

func (r *Recorder) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	m := r.method(info.FullMethod, kindOf(info))
	c := m.begin(stream.Context())
	err := handle(srv, &watched{ServerStream: stream, call: c})
	m.end(c, err)
	return err
}

func kindOf(info *grpc.StreamServerInfo) string {
	switch {
	case info.IsClientStream && info.IsServerStream:
		return "bidi_stream"
	case info.IsClientStream:
		return "client_stream"
	default:
		return "server_stream"
	}
}

// watched is a stream whose messages are counted.
type watched struct {
	grpc.ServerStream

	call *call
}

// RecvMsg as of grpc.ServerStream.
func (w *watched) RecvMsg(m any) error {
	err := w.ServerStream.RecvMsg(m)
	if err == nil {
		w.call.received(m)
	}
	return err
}

// SendMsg as of grpc.ServerStream.
func (w *watched) SendMsg(m any) error {
	err := w.ServerStream.SendMsg(m)
	if err == nil {
		w.call.answered()
	}
	return err
}

// call is one call of a method.
type call struct {
	method   *method
	began    time.Time
	peer     string
	in, sent atomic.Int64
	journal  atomic.Pointer[string] // that its first message names

	prev, next *call // of the calls that run; the method's lock guards them
}

// received counts a message. Only one is received at a time.
func (c *call) received(m any) {
	c.method.metrics.received.Inc()
	if c.in.Add(1) > 1 {
		return
	}
	if named, ok := m.(interface{ GetJournal() string }); ok && named.GetJournal() != "" {
		c.journal.Store(new(cut(named.GetJournal())))
	}
}

// answered counts a message that was sent.
func (c *call) answered() {
	c.method.metrics.sent.Inc()
	c.sent.Add(1)
}

// cut is a copy of a text, or of its begin.
func cut(s string) string { return strings.ToValidUTF8(strings.Clone(s[:min(len(s), maxText)]), "") }

// ended is what is kept of a call that has ended.
type ended struct {
	began         time.Time
	took          time.Duration
	peer, journal string
	in, sent      int64
	code          codes.Code
	err           string
}

// bucket of calls that took so long or longer, or that failed.
type bucket struct {
	atLeast time.Duration
	failed  bool
}

// buckets that the page has; the first is that of all.
func buckets() []bucket {
	return []bucket{
		{},
		{atLeast: 10 * time.Millisecond},
		{atLeast: 100 * time.Millisecond},
		{atLeast: time.Second},
		{atLeast: 10 * time.Second},
		{failed: true},
	}
}

func (b bucket) takes(e *ended) bool {
	if b.failed {
		return e.code != codes.OK
	}
	return e.took >= b.atLeast
}

// maxKept is how many calls a bucket of a method remembers.
const maxKept = 10

// ring has the newest calls of a bucket.
type ring struct {
	bucket bucket
	total  int64
	calls  [maxKept]*ended // in turn
}

// method is what is known of a method's calls.
type method struct {
	metrics *methodMetrics

	mu      sync.Mutex
	running call // head of the list of those that run, which is a circle
	rings   []ring
}

// method of that name, which is made when it is first called.
func (r *Recorder) method(name, kind string) *method {
	if m, ok := r.methods.Load(name); ok {
		return m.(*method)
	}
	m := &method{metrics: r.metrics.of(name, kind)}
	m.running.prev, m.running.next = &m.running, &m.running
	for _, b := range buckets() {
		m.rings = append(m.rings, ring{bucket: b})
	}
	first, _ := r.methods.LoadOrStore(name, m)
	return first.(*method)
}

// begin a call.
func (m *method) begin(ctx context.Context) *call {
	c := &call{method: m, began: time.Now()}
	if p, ok := peer.FromContext(ctx); ok {
		c.peer = p.Addr.String()
	}
	m.metrics.started.Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.running.prev
	c.prev, c.next = last, &m.running
	last.next, m.running.prev = c, c
	return c
}

// end a call, which has ended with that error.
func (m *method) end(c *call, err error) {
	e := c.snapshot(time.Now())
	s := status.Convert(err)
	if e.code = s.Code(); err != nil {
		e.err = cut(s.Message())
	}
	m.metrics.ended(e)
	m.mu.Lock()
	defer m.mu.Unlock()
	c.prev.next, c.next.prev = c.next, c.prev
	for i := range m.rings {
		if r := &m.rings[i]; r.bucket.takes(e) {
			r.calls[r.total%maxKept] = e
			r.total++
		}
	}
}

// snapshot of a call as it is now.
func (c *call) snapshot(now time.Time) *ended {
	e := &ended{began: c.began, took: now.Sub(c.began), peer: c.peer, in: c.in.Load(), sent: c.sent.Load()}
	if j := c.journal.Load(); j != nil {
		e.journal = *j
	}
	return e
}
