package calls

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// metrics of a server, as go-grpc-prometheus names them.
type metrics struct {
	started, handled, received, sent *prometheus.CounterVec
	seconds                          *prometheus.HistogramVec
}

func newMetrics() *metrics {
	labels := []string{"grpc_type", "grpc_service", "grpc_method"}
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(labels[:3:3], more...))
	}
	return &metrics{
		started:  counter("grpc_server_started_total", "Total number of RPCs started on the server."),
		handled:  counter("grpc_server_handled_total", "Total number of RPCs completed on the server, regardless of success or failure.", "grpc_code"),
		received: counter("grpc_server_msg_received_total", "Total number of RPC stream messages received on the server."),
		sent:     counter("grpc_server_msg_sent_total", "Total number of gRPC stream messages sent by the server."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "grpc_server_handling_seconds",
			Help:    "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
			Buckets: prometheus.DefBuckets,
		}, labels),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.started, m.handled, m.received, m.sent, m.seconds}
}

// Describe as of prometheus.Collector.
func (r *Recorder) Describe(out chan<- *prometheus.Desc) {
	for _, c := range r.metrics.all() {
		c.Describe(out)
	}
}

// Collect as of prometheus.Collector.
func (r *Recorder) Collect(out chan<- prometheus.Metric) {
	for _, c := range r.metrics.all() {
		c.Collect(out)
	}
}

// codeCount is how many codes gRPC has.
const codeCount = int(codes.Unauthenticated) + 1

// methodMetrics are those of one method, with its labels looked up.
type methodMetrics struct {
	started, received, sent prometheus.Counter
	seconds                 prometheus.Observer
	handled                 *prometheus.CounterVec
	byCode                  [codeCount]atomic.Pointer[prometheus.Counter]
}

// of the method with a full name, as in /protocol.Journal/Append.
func (m *metrics) of(name, kind string) *methodMetrics {
	service, method, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	return &methodMetrics{
		started:  m.started.WithLabelValues(kind, service, method),
		received: m.received.WithLabelValues(kind, service, method),
		sent:     m.sent.WithLabelValues(kind, service, method),
		seconds:  m.seconds.WithLabelValues(kind, service, method),
		handled:  m.handled.MustCurryWith(prometheus.Labels{"grpc_type": kind, "grpc_service": service, "grpc_method": method}),
	}
}

// ended counts a call.
func (m *methodMetrics) ended(e *ended) {
	m.code(e.code).Inc()
	m.seconds.Observe(e.took.Seconds())
}

func (m *methodMetrics) code(c codes.Code) prometheus.Counter {
	if int(c) >= codeCount { // One that gRPC doesn't define.
		return m.handled.WithLabelValues(c.String())
	}
	known := &m.byCode[c]
	if found := known.Load(); found != nil {
		return *found
	}
	found := m.handled.WithLabelValues(c.String())
	known.Store(&found)
	return found
}
