package broker

import (
	"io"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newDebugHandler serves /debug/: ready, metrics, and pprof if it is asked for.
func newDebugHandler(b *Broker) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/ready", b.serveReady)
	if b.cfg.Gatherer != nil {
		mux.Handle("/debug/metrics", promhttp.HandlerFor(b.cfg.Gatherer, promhttp.HandlerOpts{}))
	}
	if b.cfg.Profiling {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("/debug/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, r.URL.Path+" is not served", "there are /debug/ready and /debug/metrics, and /debug/pprof if profiling is on")
	})
	return mux
}

// serveReady tells whether every journal that can be served is.
func (b *Broker) serveReady(w http.ResponseWriter, _ *http.Request) {
	switch {
	case isClosed(b.stopping):
		writeError(w, http.StatusServiceUnavailable, "the broker is stopping", "it answers again once it is started again")
	case !isClosed(b.ready):
		writeError(w, http.StatusServiceUnavailable, "the broker is starting", "try again in a moment")
	case b.cfg.AlsoReady != nil && b.cfg.AlsoReady() != "":
		writeError(w, http.StatusServiceUnavailable, b.cfg.AlsoReady()+" is starting", "try again in a moment")
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ready\n") // A client that is gone can't be told.
	}
}
