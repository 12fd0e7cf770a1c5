package run

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// serveDebug serves diagnostics at their own port until ctx is done. The process is ready while it serves and the
// host is announced.
func (p *program) serveDebug(ctx, serving context.Context, host *consumer.Host, metrics *prometheus.Registry, visitors *auth.Visitors) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/ready", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-host.Ready():
		default:
			http.Error(w, "the consumer isn't announced", http.StatusServiceUnavailable)
			return
		}
		if serving.Err() != nil {
			http.Error(w, "the consumer is leaving", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	})
	mux.Handle("/debug/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.Handle("/debug/requests", host.Requests())
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", http.NotFound) // Arguments may have keys.
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "there are /debug/ready, /debug/metrics, /debug/requests and /debug/pprof/", http.StatusNotFound)
	})
	server := &http.Server{Handler: consumer.Guard(visitors, mux), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(p.listeners.Debug); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("diagnostics: %w", err)
	}
	return nil
}
