package objectcache

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	bytes, bound, objects                      prometheus.Gauge
	hits, evictions, corrupt, refused, bytesIn prometheus.Counter
	downloads                                  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	with := promauto.With(reg)
	gauge := func(name, help string) prometheus.Gauge {
		return with.NewGauge(prometheus.GaugeOpts{Name: "broadsheet_objectcache_" + name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return with.NewCounter(prometheus.CounterOpts{Name: "broadsheet_objectcache_" + name, Help: help})
	}
	return &metrics{
		bytes:     gauge("bytes", "Bytes that cached objects take, with those that are being written."),
		bound:     gauge("bound_bytes", "Most bytes that they may take."),
		objects:   gauge("objects", "Cached objects."),
		hits:      counter("hits_total", "Readings of objects that were there."),
		evictions: counter("evictions_total", "Objects removed to make room."),
		corrupt:   counter("corrupt_total", "Files that weren't what their name says, and were removed."),
		refused:   counter("refused_total", "Objects that weren't copied because there was no room."),
		bytesIn:   counter("download_bytes_total", "Bytes of objects read from stores."),
		downloads: with.NewCounterVec(prometheus.CounterOpts{
			Name: "broadsheet_objectcache_downloads_total", Help: "Objects read from stores: success, error or corrupt.",
		}, []string{"status"}),
	}
}
