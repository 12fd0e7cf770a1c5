package store

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics have the names and labels of Gazette's, so that its dashboards work.
type metrics struct {
	active    prometheus.Gauge
	duration  *prometheus.HistogramVec
	total     *prometheus.CounterVec
	putBytes  *prometheus.CounterVec
	listItems *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	with := promauto.With(reg)
	return &metrics{
		active: with.NewGauge(prometheus.GaugeOpts{
			Name: "gazette_store_active",
			Help: "Number of stores in use.",
		}),
		duration: with.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gazette_store_operation_duration_seconds",
			Help:    "Duration of operations of stores.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}, []string{"store", "operation", "status"}),
		total: with.NewCounterVec(prometheus.CounterOpts{
			Name: "gazette_store_operation_total",
			Help: "Operations of stores; an object that exists, or doesn't, is no error.",
		}, []string{"store", "operation", "status"}),
		putBytes: with.NewCounterVec(prometheus.CounterOpts{
			Name: "gazette_store_put_bytes_total",
			Help: "Bytes of the objects that were created.",
		}, []string{"store", "encoding"}),
		listItems: with.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gazette_store_list_items_count",
			Help:    "Objects that a listing returned.",
			Buckets: prometheus.ExponentialBuckets(10, 4, 8),
		}, []string{"store"}),
	}
}

// measured measures a store, and says in its errors what was done to which object.
type measured struct {
	store   Store
	url     string
	metrics *metrics
}

// done takes the measure of an operation that began at begin, and returns its error.
func (m *measured) done(op, p string, begin time.Time, err error) error {
	status := "error"
	switch {
	case err == nil, errors.Is(err, ErrNotFound):
		status = "success"
	case errors.Is(err, ErrExists):
		status = "exists"
	}
	m.metrics.total.WithLabelValues(m.url, op, status).Inc()
	m.metrics.duration.WithLabelValues(m.url, op, status).Observe(time.Since(begin).Seconds())
	if err == nil {
		return nil
	}
	return &Error{Op: op, Store: m.url, Path: p, Err: err}
}

func (m *measured) Put(ctx context.Context, p string, body io.Reader, size int64, encoding Encoding) error {
	begin := time.Now()
	err := m.store.Put(ctx, p, body, size, encoding)
	if err == nil {
		label := string(encoding)
		if encoding == Plain {
			label = "none"
		}
		m.metrics.putBytes.WithLabelValues(m.url, label).Add(float64(size))
	}
	return m.done("put", p, begin, err)
}

func (m *measured) Get(ctx context.Context, p string) (io.ReadCloser, error) {
	begin := time.Now()
	r, err := m.store.Get(ctx, p)
	return r, m.done("get", p, begin, err)
}

func (m *measured) Stat(ctx context.Context, p string) (Object, error) {
	begin := time.Now()
	object, err := m.store.Stat(ctx, p)
	return object, m.done("exists", p, begin, err) // As Gazette calls it.
}

func (m *measured) List(ctx context.Context, prefix string, fn func(Object) error) error {
	begin, items := time.Now(), 0
	var fnErr error
	err := m.store.List(ctx, prefix, func(o Object) error {
		items++
		fnErr = fn(o)
		return fnErr
	})
	m.metrics.listItems.WithLabelValues(m.url).Observe(float64(items))
	if fnErr != nil {
		_ = m.done("list", prefix, begin, nil) // The store did what it was asked for.
		return fnErr
	}
	return m.done("list", prefix, begin, err)
}

func (m *measured) Remove(ctx context.Context, p string) error {
	begin := time.Now()
	return m.done("remove", p, begin, m.store.Remove(ctx, p))
}

func (m *measured) SignGet(p string, ttl time.Duration) (string, error) {
	begin := time.Now()
	url, err := m.store.SignGet(p, ttl)
	return url, m.done("signget", p, begin, err)
}

// Client is that of the store, if it has one.
func (m *measured) Client() *http.Client { return clientOf(m.store) }
