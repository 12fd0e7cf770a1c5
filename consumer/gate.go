package consumer

import (
	"context"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// gate lets requests through while the host serves. Whoever listens, none is left once the host has stopped.
type gate struct {
	mu      sync.Mutex
	closed  error // why nobody is let through; nil while it is open
	running sync.WaitGroup
	life    context.Context //nolint:containedctx // that of all requests
	end     context.CancelFunc
}

// errNotReady tells of a request that came before the host serves.
var errNotReady = status.Error(codes.Unavailable, "consumer isn't ready")

func newGate() *gate {
	g := &gate{closed: errNotReady}
	g.life, g.end = context.WithCancel(context.Background())
	return g
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = nil
}

// enter returns the context of a request that is let through, and what ends it.
func (g *gate) enter(ctx context.Context) (context.Context, func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		return nil, nil, g.closed
	}
	g.running.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.life, cancel)
	return ctx, func() {
		stop()
		cancel()
		g.running.Done()
	}, nil
}

// close the gate. Requests that were let through have a grace to end by themselves; none is left when it returns.
func (g *gate) close(grace time.Duration) {
	g.mu.Lock()
	g.closed = errStopping
	g.mu.Unlock()
	cut := time.AfterFunc(grace, g.end)
	defer cut.Stop()
	g.running.Wait()
	g.end()
}

// RegisterServices adds the services of the host and of its application to a gRPC server: the host's own, and one that is somebody
// else's if the host has no listeners. By whatever server a request comes, it is let in by the host's rules, and while it serves.
func (h *Host) RegisterServices(s grpc.ServiceRegistrar) {
	guarded := &guarded{h, s}
	h.service.register(guarded)
	if h.cfg.Register != nil {
		h.cfg.Register(guarded)
	}
}

// guarded registers services whose methods the host lets requests in to.
type guarded struct {
	host *Host
	to   grpc.ServiceRegistrar
}

// RegisterService as of grpc.ServiceRegistrar.
func (g *guarded) RegisterService(desc *grpc.ServiceDesc, impl any) {
	out := *desc
	out.Methods = make([]grpc.MethodDesc, 0, len(desc.Methods))
	for _, m := range desc.Methods {
		out.Methods = append(out.Methods, grpc.MethodDesc{MethodName: m.MethodName, Handler: g.host.unary(m.Handler)})
	}
	out.Streams = make([]grpc.StreamDesc, 0, len(desc.Streams))
	for _, s := range desc.Streams {
		s.Handler = g.host.stream("/"+desc.ServiceName+"/"+s.StreamName, s.Handler)
		out.Streams = append(out.Streams, s)
	}
	g.to.RegisterService(&out, impl)
}

// unary lets calls of a method in. The server's interceptors are outside.
func (h *Host) unary(next grpc.MethodHandler) grpc.MethodHandler {
	admit := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		ctx, leave, err := h.admitCall(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		defer leave()
		return handle(ctx, req)
	}
	return func(srv any, ctx context.Context, decode func(any) error, outer grpc.UnaryServerInterceptor) (any, error) {
		if outer == nil {
			return next(srv, ctx, decode, admit)
		}
		return next(srv, ctx, decode, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			return outer(ctx, req, info, func(ctx context.Context, req any) (any, error) { return admit(ctx, req, info, handle) })
		})
	}
}

// stream is unary for streams.
func (h *Host) stream(method string, next grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, stream grpc.ServerStream) error {
		ctx, leave, err := h.admitCall(stream.Context(), method)
		if err != nil {
			return err
		}
		defer leave()
		return next(srv, &admittedStream{stream, ctx})
	}
}

// admitCall lets a call of gRPC in, and through.
func (h *Host) admitCall(ctx context.Context, method string) (context.Context, func(), error) {
	ctx, leave, err := h.gate.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel, err := h.door.admitCall(ctx, method)
	if err != nil {
		leave()
		return nil, nil, err
	}
	return ctx, func() { cancel(); leave() }, nil
}

// HandlerPrefix is what the paths begin with that Handler serves of the host's own.
const HandlerPrefix = jsonPrefix

// Handler serves the JSON gateway, and what the application serves over HTTP: for the host's own listeners, or for somebody else's
// if it has none. By whatever server a request comes, it is let in by the host's rules, and while it serves.
func (h *Host) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(jsonPrefix, &jsonGateway{host: h, service: h.service})
	for _, own := range h.cfg.Handlers {
		mux.Handle(own.Path, h.admitted(own))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, leave, err := h.gate.enter(r.Context())
		if err != nil {
			refuse(w, r, http.StatusServiceUnavailable, status.Convert(err), "try again in a moment, by another host if there is one")
			return
		}
		defer leave()
		mux.ServeHTTP(w, r.WithContext(ctx))
	})
}
