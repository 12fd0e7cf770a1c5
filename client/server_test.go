package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
)

// scriptServer is a broker that plays scripts, one for each RPC in the order in which
// they were given. Steps of a script are lines:
//
//	recv <message>      the client sends just this
//	recv bytes=<n>      the client sends n bytes of content
//	recv EOF            the client half-closes
//	recv gone           the client goes away
//	send <message>
//	fail <code> <text>  ends the RPC with a gRPC error
//	drop <text>         cuts all connections, once text was written to one of them
//
// The end of the script ends the RPC gracefully. A line "next" begins what is played
// for the next command.
type scriptServer struct {
	protocol.UnimplementedJournalServer
	listener *trackingListener
	endpoint string

	mu       sync.Mutex
	scripts  []script   // of the running command
	later    [][]script // of those that follow
	problems []string
	playing  int
	steps    int           // begun so far
	changed  chan struct{} // closed at the next change of the above
}

type script struct {
	rpc   string
	steps []string
}

func startServer(t *testing.T) *scriptServer {
	t.Helper()
	s := &scriptServer{changed: make(chan struct{})}
	s.endpoint = serveGRPC(t, func(r grpc.ServiceRegistrar) { protocol.RegisterJournalServer(r, s) },
		func(l net.Listener) net.Listener {
			s.listener = &trackingListener{Listener: l}
			return s.listener
		})
	return s
}

// serveGRPC serves on a unix socket, until the test ends, and returns its endpoint.
func serveGRPC(t *testing.T, register func(grpc.ServiceRegistrar), wrap ...func(net.Listener) net.Listener) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bs") //nolint:usetesting // the path of a socket must be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	path := filepath.Join(dir, "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	for _, w := range wrap {
		l = w(l)
	}
	server := grpc.NewServer()
	register(server)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return "unix://local" + path
}

// trackingListener knows its connections, to cut them.
type trackingListener struct {
	net.Listener
	mu    sync.Mutex
	conns []*trackedConn
}

// trackedConn keeps what was written to it.
type trackedConn struct {
	net.Conn
	mu      sync.Mutex
	written []byte
	changed chan struct{} // closed at the next write
}

func (l *trackingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, &trackedConn{Conn: c, changed: make(chan struct{})})
	return l.conns[len(l.conns)-1], nil
}

func (c *trackedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = append(c.written, p[:n]...)
	close(c.changed)
	c.changed = make(chan struct{})
	return n, err
}

// drop closes all connections, the last of them once text was written to it.
func (l *trackingListener) drop(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.conns[len(l.conns)-1]
	for {
		last.mu.Lock()
		found, changed := bytes.Contains(last.written, []byte(text)), last.changed
		last.mu.Unlock()
		if found {
			break
		}
		<-changed
	}
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// load sets the scripts of a text, each after a line "rpc <name>".
func (s *scriptServer) load(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	groups := [][]script{nil}
	for line := range strings.SplitSeq(text, "\n") {
		group := &groups[len(groups)-1]
		if line == "next" {
			groups = append(groups, nil)
		} else if name, ok := strings.CutPrefix(line, "rpc "); ok {
			*group = append(*group, script{rpc: name})
		} else if last := len(*group) - 1; strings.TrimSpace(line) != "" {
			(*group)[last].steps = append((*group)[last].steps, strings.TrimSpace(line))
		}
	}
	s.later = groups
}

// advance to what is played for the next command.
func (s *scriptServer) advance() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.later) != 0 {
		s.scripts, s.later = s.later[0], s.later[1:]
	}
}

// settle waits until all scripts were played, and returns what went other than
// scripted. Only a test that is going to fail waits long.
func (s *scriptServer) settle() string {
	patience := time.After(time.Minute)
	for {
		s.mu.Lock()
		done, changed := len(s.scripts) == 0 && s.playing == 0, s.changed
		s.mu.Unlock()
		if done {
			break
		}
		select {
		case <-changed:
			continue
		case <-patience:
		}
		break
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sc := range s.scripts {
		s.problems = append(s.problems, "not played: "+sc.rpc)
	}
	if s.playing != 0 {
		s.problems = append(s.problems, "still playing")
	}
	out := strings.Join(s.problems, "\n")
	s.problems, s.scripts = nil, nil
	if out != "" {
		out = "server: " + out + "\n"
	}
	return out
}

// begin returns the steps of the next script, if it is of this RPC.
func (s *scriptServer) begin(rpc string) ([]string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.playing++
	if len(s.scripts) == 0 || s.scripts[0].rpc != rpc {
		return nil, false
	}
	steps := s.scripts[0].steps
	s.scripts = s.scripts[1:]
	return steps, true
}

func (s *scriptServer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.playing--
	s.notify()
}

func (s *scriptServer) step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps++
	s.notify()
}

func (s *scriptServer) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// awaitSteps waits until n steps of scripts were begun.
func (s *scriptServer) awaitSteps(n int) {
	for {
		s.mu.Lock()
		begun, changed := s.steps, s.changed
		s.mu.Unlock()
		if begun >= n {
			return
		}
		<-changed
	}
}

func (s *scriptServer) problem(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, text)
	return status.Error(codes.Internal, text)
}

// wire is a stream of either direction, or a unary RPC made into one.
type wire struct {
	ctx  context.Context
	recv func() (proto.Message, error)
	send func(proto.Message) error
	// out returns an empty message of the type that is sent.
	out func() proto.Message
}

func (s *scriptServer) play(rpc string, w wire) error {
	steps, ok := s.begin(rpc)
	defer s.end()
	if !ok {
		return s.problem("unexpected RPC %s", rpc)
	}
	for _, step := range steps {
		s.step()
		verb, arg, _ := strings.Cut(step, " ")
		var err error
		switch verb {
		case "recv":
			err = s.playRecv(w, arg)
		case "send":
			m := w.out()
			if err = prototext.Unmarshal([]byte(expand(arg)), m); err == nil {
				err = w.send(m)
			}
		case "fail":
			code, text, _ := strings.Cut(arg, " ")
			return status.Error(codeNamed(code), text)
		case "drop":
			s.listener.drop(arg)
		default:
			err = errors.New("unknown step")
		}
		if err != nil {
			return s.problem("%s: %s: %s", rpc, step, err)
		}
	}
	return nil
}

// codeNamed returns the code of a name; Internal if there's none.
func codeNamed(name string) codes.Code {
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		if c.String() == name {
			return c
		}
	}
	return codes.Internal
}

func (s *scriptServer) playRecv(w wire, arg string) error {
	if arg == "gone" {
		<-w.ctx.Done()
		return nil
	}
	var n int
	if _, err := fmt.Sscanf(arg, "bytes=%d", &n); err == nil {
		return recvBytes(w, n)
	}
	m, err := w.recv()
	switch {
	case arg == "EOF" && errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	case arg == "EOF":
		return fmt.Errorf("got %s", prototext.MarshalOptions{}.Format(m))
	}
	want := m.ProtoReflect().New().Interface()
	if err = prototext.Unmarshal([]byte(expand(arg)), want); err != nil {
		return err
	}
	if !proto.Equal(want, m) {
		return fmt.Errorf("got %s", prototext.MarshalOptions{}.Format(m))
	}
	return nil
}

// recvBytes receives chunks of n bytes in all, and proves that they're within the
// promised sizes.
func recvBytes(w wire, n int) error {
	for got := 0; got < n; {
		m, err := w.recv()
		if err != nil {
			return err
		}
		size := len(m.(*protocol.AppendRequest).GetContent())
		got += size
		if size > maxChunk || got > n || size < minChunk && got < n {
			return fmt.Errorf("got a chunk of %d bytes, %d in all", size, got)
		}
	}
	return nil
}

var shorthand = regexp.MustCompile(`\$(\w+)\((.*?)\)`)

// expand replaces what stands for much text:
//
//	$H(7)         a header at revision 7
//	$F(3,9)       a fragment [3, 9) of the journal
//	$S(name)      a spec of that name
func expand(text string) string {
	return shorthand.ReplaceAllStringFunc(text, func(m string) string {
		parts := shorthand.FindStringSubmatch(m)
		switch args := strings.Split(parts[2], ","); parts[1] {
		case "H":
			return "header { route { primary: -1 } etcd { cluster_id: 1 member_id: 2 raft_term: 3 revision: " + args[0] + " } }"
		case "F":
			return fmt.Sprintf(`fragment { journal: "a/journal" compression_codec: NONE begin: %s end: %s }`, args[0], args[1])
		case "S":
			return `spec { name: "` + args[0] + `" replication: 1 fragment { length: 1024 compression_codec: NONE refresh_interval { seconds: 1 } } }`
		}
		return m
	})
}

func serverWire[Req, Res any](s grpc.ServerStream, recv func() (*Req, error)) wire {
	return wire{
		ctx:  s.Context(),
		recv: func() (proto.Message, error) { m, err := recv(); return any(m).(proto.Message), err },
		send: func(m proto.Message) error { return s.SendMsg(m) },
		out:  func() proto.Message { return any(new(Res)).(proto.Message) },
	}
}

// once returns a request, and then the end of the stream.
func once[T any](req *T) func() (*T, error) {
	return func() (*T, error) {
		out := req
		req = nil
		if out == nil {
			return nil, io.EOF
		}
		return out, nil
	}
}

func (s *scriptServer) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	return s.play("Append", serverWire[protocol.AppendRequest, protocol.AppendResponse](stream, stream.Recv))
}

func (s *scriptServer) Read(req *protocol.ReadRequest, stream grpc.ServerStreamingServer[protocol.ReadResponse]) error {
	return s.play("Read", serverWire[protocol.ReadRequest, protocol.ReadResponse](stream, once(req)))
}

func (s *scriptServer) List(req *protocol.ListRequest, stream grpc.ServerStreamingServer[protocol.ListResponse]) error {
	return s.play("List", serverWire[protocol.ListRequest, protocol.ListResponse](stream, once(req)))
}

func (s *scriptServer) Apply(ctx context.Context, req *protocol.ApplyRequest) (*protocol.ApplyResponse, error) {
	var out protocol.ApplyResponse
	err := s.play("Apply", unaryWire(ctx, req, &out))
	return &out, err
}

func (s *scriptServer) ListFragments(ctx context.Context, req *protocol.FragmentsRequest) (*protocol.FragmentsResponse, error) {
	var out protocol.FragmentsResponse
	err := s.play("ListFragments", unaryWire(ctx, req, &out))
	return &out, err
}

func (s *scriptServer) FragmentStoreHealth(ctx context.Context, req *protocol.FragmentStoreHealthRequest) (*protocol.FragmentStoreHealthResponse, error) {
	var out protocol.FragmentStoreHealthResponse
	err := s.play("FragmentStoreHealth", unaryWire(ctx, req, &out))
	return &out, err
}

func unaryWire[Req any](ctx context.Context, req *Req, out proto.Message) wire {
	recv := once(req)
	return wire{
		ctx:  ctx,
		recv: func() (proto.Message, error) { m, err := recv(); return any(m).(proto.Message), err },
		send: func(m proto.Message) error { proto.Merge(out, m); return nil },
		out:  func() proto.Message { return out.ProtoReflect().New().Interface() },
	}
}
