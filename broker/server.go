package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"broadsheet.dev/broadsheet/internal/portmux"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
	"broadsheet.dev/broadsheet/protocol/wire"
)

const (
	// headerTimeout bounds how long a client may take to send a request's header,
	// headerLimit how many bytes of it, keepOpen how long a connection may be idle.
	headerTimeout = 10 * time.Second
	headerLimit   = 64 << 10
	keepOpen      = 2 * time.Minute
	// pingAfter is when a silent connection is asked whether its client is there, and
	// pingOften how often a client may ask us.
	pingAfter, pingWait, pingOften = time.Minute, 20 * time.Second, 5 * time.Second
	// minStreams is the least that streamLimit is.
	minStreams = 1 << 16
)

// streamLimit is how many RPCs a connection may have at a time: each takes memory, and clients of gRPC wait, without a
// word, for one to end when there are so many. So honest ones mustn't come to it: a client of Gazette has a stream for
// each journal that it reads and one for each that it appends to, and a broker one for each journal that it replicates
// and those that it forwards, all of which are to journals that we hold; or through us, to those of a fleet.
func streamLimit(journals int) uint32 {
	return uint32(min(max(minStreams, 4*int64(journals)), math.MaxInt32)) //nolint:gosec // it isn't negative
}

// servers are what listens: one gRPC and one HTTP server over all listeners.
type servers struct {
	broker *Broker
	group  *task.Group
	grpc   *grpc.Server
	http   *http.Server
	debug  *http.Server // of diagnostics at their own port, if they have one

	handler *handler
}

func newServers(b *Broker) *servers {
	g := grpc.NewServer(append(append(b.calls.ServerOptions(), b.door.interceptors()...),
		grpc.MaxRecvMsgSize(b.cfg.MaxMessage),
		grpc.ForceServerCodecV2(wire.NewCodec()),
		grpc.InTapHandle(b.door.tap),
		grpc.MaxHeaderListSize(headerLimit),
		grpc.MaxConcurrentStreams(streamLimit(b.cfg.JournalLimit)),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingOften, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)...)
	protocol.RegisterJournalServer(g, &service{broker: b})
	streaming.RegisterJournalServer(g, &streamingService{broker: b})
	b.cfg.Neighbour.register(g, b.door)
	shared, own := newVisitors(b.cfg), newVisitors(b.cfg)
	own.everyone = false // Nobody is asked there.
	h := &handler{broker: b, json: newJSONGateway(b), debug: newSharedDebug(b)}
	return &servers{
		broker:  b,
		grpc:    g,
		handler: h,
		http:    newHTTPServer(b, shared.guard(h)),
		debug:   newHTTPServer(b, own.guard(newOwnDebug(b))),
	}
}

func newHTTPServer(b *Broker, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       keepOpen,
		MaxHeaderBytes:    headerLimit,
		ErrorLog:          slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
}

// start serves the listeners until stop.
func (s *servers) start(ctx context.Context) {
	s.group = task.New(context.WithoutCancel(ctx), "servers")
	for _, ln := range s.broker.cfg.Listeners {
		mux := portmux.New(s.broker.transport.listen(s.broker.descriptors.watch(ln)), portmux.Config{Logger: s.broker.log})
		s.group.Go("mux "+ln.Addr().String(), mux.Serve)
		s.group.Go("grpc "+ln.Addr().String(), func(context.Context) error { return s.serveGRPC(mux.HTTP2()) })
		s.group.Go("http "+ln.Addr().String(), func(context.Context) error { return serveHTTP(s.http, mux.HTTP1()) })
		s.broker.log.LogAttrs(ctx, slog.LevelInfo, "broker is listening", slog.String("address", ln.Addr().String()))
	}
	if ln := s.broker.cfg.Debug.Listener; ln != nil {
		s.group.Go("debug "+ln.Addr().String(), func(context.Context) error { return serveHTTP(s.debug, s.broker.descriptors.watch(ln)) })
	}
}

func (s *servers) serveGRPC(ln net.Listener) error {
	if err := s.grpc.Serve(ln); err != nil && !errors.Is(err, grpc.ErrServerStopped) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve gRPC: %w", err)
	}
	return nil
}

func serveHTTP(s *http.Server, ln net.Listener) error {
	if err := s.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

// stop ends both servers: at once for what is idle, and after grace for requests
// that still run. No request runs when it returns.
func (s *servers) stop(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error {
		cut := context.AfterFunc(ctx, s.grpc.Stop)
		defer cut()
		s.grpc.GracefulStop()
		return nil
	})
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	err = errors.Join(err, s.debug.Close()) // It answered until now.
	s.handler.running.Wait()
	err = errors.Join(err, g.Wait())
	s.group.Cancel()
	return errors.Join(err, s.group.Wait())
}

func closeListeners(listeners []net.Listener) {
	for _, ln := range listeners {
		if ln != nil {
			_ = ln.Close() // As a rule it is closed already.
		}
	}
}
