package broker

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"broadsheet.dev/broadsheet/protocol/auth"
)

// Debug says where a broker's diagnostics are served: /debug/ready, /debug/metrics, and of the process
// itself /debug/pprof/, /debug/vars, /debug/requests and /debug/events.
type Debug struct {
	// Listener serves all of them, by HTTP, to everyone who can reach it, also of a broker that authenticates: unless
	// Security.Insecure, at an address of loopback alone. The broker closes it. Nil is none.
	Listener net.Listener
	// Private leaves the shared port only /debug/ready. It needs a Listener.
	Private bool
	// Profiling serves what is of the process itself at the shared port too, unless that is Private.
	Profiling bool
}

// Validate tells what doesn't fit together.
func (d Debug) Validate() error {
	switch {
	case d.Private && d.Listener == nil:
		return errors.New("debug: Private needs a Listener, or nothing would be served at all")
	case d.Private && d.Profiling:
		return errors.New("debug: Profiling is of the shared port, which Private takes it from")
	}
	return nil
}

// newSharedDebug serves diagnostics at the shared port. What tells of journals, or could
// hold the process up, asks for a token.
func newSharedDebug(b *Broker) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/ready", b.serveReady)
	if metrics := b.metricsHandler(); metrics != nil && !b.cfg.Debug.Private {
		mux.HandleFunc("/debug/metrics", b.door.unscoped(auth.List, metrics.ServeHTTP))
	}
	if b.cfg.Debug.Profiling && !b.cfg.Debug.Private {
		for path, h := range b.processPages() {
			mux.HandleFunc(path, b.door.unscoped(auth.List, h.ServeHTTP))
		}
	}
	mux.HandleFunc("/debug/", notServed("there are /debug/ready, and if they aren't private /debug/metrics, and if profiling is on "+processPaths))
	return mux
}

// newOwnDebug serves diagnostics at their own port.
func newOwnDebug(b *Broker) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/ready", b.serveReady)
	if metrics := b.metricsHandler(); metrics != nil {
		mux.Handle("/debug/metrics", metrics)
	}
	for path, h := range b.processPages() {
		mux.Handle(path, h)
	}
	mux.HandleFunc("/", notServed("there are /debug/ready, /debug/metrics, "+processPaths))
	return mux
}

// processPaths names the pages of processPages.
const processPaths = "/debug/pprof/, /debug/vars, /debug/requests and /debug/events"

// processPages are those that tell of the process itself, by their paths.
func (b *Broker) processPages() map[string]http.Handler {
	return map[string]http.Handler{
		"/debug/pprof/":   newProfiles(),
		"/debug/vars":     http.HandlerFunc(serveVars),
		"/debug/requests": b.calls.Page(),
		"/debug/events":   b.events,
	}
}

func (b *Broker) metricsHandler() http.Handler {
	if b.cfg.Gatherer == nil {
		return nil
	}
	return promhttp.HandlerFor(b.cfg.Gatherer, promhttp.HandlerOpts{})
}

// newProfiles serves pprof, but for its cmdline: arguments may have keys.
func newProfiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", notServed("the command line may have keys in it"))
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func notServed(hint string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, r.URL.Path+" is not served", hint)
	}
}

// serveReady tells whether every journal that can be served is.
func (b *Broker) serveReady(w http.ResponseWriter, _ *http.Request) {
	switch {
	case isClosed(b.stopping):
		writeError(w, http.StatusServiceUnavailable, "the broker is stopping", "it answers again once it is started again")
	case isClosed(b.leaving):
		writeError(w, http.StatusServiceUnavailable, "the broker is leaving, and hands over its journals", "ask another")
	case !isClosed(b.ready):
		writeError(w, http.StatusServiceUnavailable, "the broker is starting", "try again in a moment")
	case b.disk.isFull() != nil:
		writeError(w, http.StatusServiceUnavailable, "the disk of the broker is full: "+b.disk.isFull().Error(), "make room; it answers again a second later")
	case b.descriptors.scarce() != nil:
		writeError(w, http.StatusServiceUnavailable, "the broker has as many files and connections open as it may: "+b.descriptors.scarce().Error(),
			"raise the limit, as by 'ulimit -n', or lower --broker.limit; it answers again a few seconds after the last failure")
	case b.cfg.AlsoReady != nil && b.cfg.AlsoReady() != "":
		writeError(w, http.StatusServiceUnavailable, b.cfg.AlsoReady()+" is starting", "try again in a moment")
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ready\n") // A client that is gone can't be told.
	}
}
