package consumer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/internal/portmux"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol/auth"
)

const (
	// headerTimeout bounds how long a client may take to send a request's header, headerLimit how many bytes of it,
	// keepOpen how long a connection may be idle.
	headerTimeout = 10 * time.Second
	headerLimit   = 64 << 10
	keepOpen      = 2 * time.Minute
	// pingAfter is when a silent connection is asked whether its client is there, and pingOften how often a client
	// may ask us.
	pingAfter, pingWait, pingOften = time.Minute, 20 * time.Second, 5 * time.Second
	// streamLimit is how many calls a connection may have at a time. Honest clients don't come to it: another host has one for each
	// program that it passes on.
	streamLimit = 1 << 16
)

// servers are what listens: one gRPC and one HTTP server over all listeners.
type servers struct {
	host  *Host
	group *task.Group
	grpc  *grpc.Server
	http  *http.Server
}

func newServers(h *Host) *servers {
	g := grpc.NewServer(append(h.calls.ServerOptions(),
		grpc.MaxRecvMsgSize(h.cfg.MaxMessage),
		grpc.MaxHeaderListSize(headerLimit),
		grpc.MaxConcurrentStreams(streamLimit),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingOften, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)...)
	h.RegisterServices(g)
	mux := http.NewServeMux()
	mux.Handle("/", h.Handler())
	mux.HandleFunc("GET /debug/ready", h.serveReady)
	if h.cfg.Gatherer != nil {
		mux.Handle("GET /debug/metrics", h.guarded(promhttp.HandlerFor(h.cfg.Gatherer, promhttp.HandlerOpts{})))
	}
	return &servers{host: h, grpc: g, http: &http.Server{
		Handler: h.guard(mux), ReadHeaderTimeout: headerTimeout, IdleTimeout: keepOpen, MaxHeaderBytes: headerLimit,
		ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}}
}

// guard a handler of a port that asks nobody who they are: it serves those only who may come.
func (h *Host) guard(next http.Handler) http.Handler {
	if h.cfg.certified || !h.cfg.Keys.AllowsMissing() {
		return next
	}
	return Guard(auth.NewVisitors(h.cfg.Endpoint, h.cfg.AllowedHosts, h.cfg.AllowOrigins), next)
}

// Guard a handler by the rules of who may visit a host.
func Guard(rules *auth.Visitors, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch rules.Receive(r) {
		case auth.StrangeHost:
			refuse(w, r, http.StatusForbidden, status.Newf(codes.PermissionDenied, "host %q isn't this consumer", r.Host),
				"use localhost or 127.0.0.1, or have the operator name the host by --allowed-hosts; a port that asks nobody who they are answers to no other name")
		case auth.StrangeOrigin:
			w.Header().Add("Vary", "Origin")
			refuse(w, r, http.StatusForbidden, status.Newf(codes.PermissionDenied, "pages of %q may not use this consumer", r.Header.Get("Origin")),
				"have the operator name the origin by --consumer.allow-origin")
		case auth.Welcome:
			next.ServeHTTP(w, r)
		}
	})
}

// guarded asks for a token that allows LIST of all shards: labels of metrics name them.
func (h *Host) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel, err := h.door.admit(r.Context(), r.Header.Values(auth.Header), auth.List)
		if err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, status.Convert(err).Message(), http.StatusUnauthorized)
			return
		}
		defer cancel()
		if claims, ok := auth.FromContext(ctx); ok && !claims.Unscoped() {
			http.Error(w, "the Authorization token isn't for all shards", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveReady answers 200 once the host is announced.
func (h *Host) serveReady(w http.ResponseWriter, _ *http.Request) {
	if !isClosed(h.ready) || isClosed(h.leaving) {
		http.Error(w, "the consumer isn't announced", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

// start serves the listeners until stop.
func (s *servers) start(ctx context.Context) {
	s.group = task.New(context.WithoutCancel(ctx), "servers")
	for _, ln := range s.host.cfg.Listeners {
		address := ln.Addr().String()
		if s.host.cfg.TLS != nil && ln.Addr().Network() != "unix" {
			ln = tls.NewListener(ln, s.host.cfg.TLS)
		}
		mux := portmux.New(ln, portmux.Config{Logger: s.host.log})
		s.group.Go("mux "+address, mux.Serve)
		s.group.Go("grpc "+address, func(context.Context) error {
			if err := s.grpc.Serve(mux.HTTP2()); err != nil && !errors.Is(err, grpc.ErrServerStopped) && !errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("serve gRPC: %w", err)
			}
			return nil
		})
		s.group.Go("http "+address, func(context.Context) error {
			if err := s.http.Serve(mux.HTTP1()); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("serve HTTP: %w", err)
			}
			return nil
		})
		s.host.log.LogAttrs(ctx, slog.LevelInfo, "consumer is listening", slog.String("address", address))
	}
}

// stop ends both servers: at once for what is idle, and after grace for requests that still run.
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
	g.Go(func() error {
		if err := s.http.Shutdown(ctx); err != nil {
			return s.http.Close()
		}
		return nil
	})
	err := g.Wait()
	s.group.Cancel()
	return errors.Join(err, s.group.Wait())
}
