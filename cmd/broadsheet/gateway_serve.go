//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"broadsheet.dev/broadsheet/internal/supervise"
	"broadsheet.dev/broadsheet/internal/task"
)

// serve until ctx is done, and sessions have ended or the grace is over.
func (r *gatewayRole) serve(ctx context.Context) error {
	g := task.New(context.WithoutCancel(ctx), "gateway")
	g.Go("memory", r.relieve)
	g.Go("catalog", r.tables.Run)
	g.Go("sql", r.gateway.Run)
	g.Go("wire", func(ctx context.Context) error { return r.server.Serve(ctx, r.listener) })
	views := task.New(context.WithoutCancel(ctx), "views")
	if r.views != nil {
		r.views.serve(views)
	}
	g.Go("drain", func(running context.Context) error {
		defer g.Cancel()
		select {
		case <-ctx.Done():
			r.drain(running)
		case <-views.Context().Done(): // its host can't go on
		case <-running.Done():
		}
		views.Cancel() // before the catalog: transactions that end ask it what views are
		return views.Wait()
	})
	if r.debug != nil {
		g.Go("debug", r.serveDebug)
	}
	r.ready.Store(true)
	err := r.announce(ctx)
	if err == nil {
		err = supervise.Ready()
	}
	if err != nil {
		g.Cancel()
	}
	return errors.Join(err, g.Wait())
}

// announce where the gateway is, and that it serves.
func (r *gatewayRole) announce(ctx context.Context) error {
	r.log.LogAttrs(ctx, slog.LevelInfo, "serving SQL", slog.String("address", r.listener.Addr().String()))
	if _, err := fmt.Fprintf(r.out, "sql %s\n", r.listener.Addr()); err != nil {
		return err
	}
	if r.debug != nil {
		if _, err := fmt.Fprintf(r.out, "debug %s\n", r.debug.Addr()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(r.out, "ready")
	return err
}

// drain waits until all sessions have ended, for the grace at most. Meanwhile the gateway isn't ready, so that who
// balances load sends nobody here any more; who comes nevertheless is served.
func (r *gatewayRole) drain(ctx context.Context) {
	r.ready.Store(false)
	ctx, cancel := context.WithTimeout(ctx, r.flags.grace)
	defer cancel()
	r.log.LogAttrs(ctx, slog.LevelInfo, "stopping", slog.Int("sessions", r.server.Sessions()), slog.Duration("grace", r.flags.grace))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for r.server.Sessions() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// serveDebug serves diagnostics until ctx is done.
func (r *gatewayRole) serveDebug(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !r.ready.Load() {
			http.Error(w, "the gateway is being stopped", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	})
	mux.Handle("/debug/metrics", promhttp.HandlerFor(r.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "there are /debug/ready and /debug/metrics", http.StatusNotFound)
	})
	server := &http.Server{Handler: ofThisMachine(mux), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, WriteTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(r.debug); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("diagnostics: %w", err)
	}
	return nil
}

// ofThisMachine refuses requests for a host by another name: pages that a browser was shown could make
// it stand for this machine.
func ofThisMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "ask for localhost, or an address of loopback", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
