package client

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the client, by their Gazette names.
type metrics struct {
	appendBytes *prometheus.CounterVec
	readBytes   *prometheus.CounterVec

	fragmentOpens   *prometheus.CounterVec
	fragmentBytes   *prometheus.CounterVec // of content that opened fragments have
	fragmentLengths *prometheus.CounterVec // of files as they're stored
	fragmentRead    *prometheus.CounterVec
	fragmentDiscard *prometheus.CounterVec
}

// newMetrics registers them, or finds them where another client did; nil registers
// nowhere.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	var failed error
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		if r == nil {
			return v
		}
		err := r.Register(v)
		if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
			if v, ok := known.ExistingCollector.(*prometheus.CounterVec); ok {
				return v
			}
		}
		failed = errors.Join(failed, err)
		return v
	}
	m := &metrics{
		appendBytes:     vec("gazette_append_bytes_total", "Bytes of appends that brokers acknowledged.", "journal"),
		readBytes:       vec("gazette_read_bytes_total", "Bytes of journals that were read.", "journal"),
		fragmentOpens:   vec("gazette_fragment_open_total", "Fragments that were opened in their stores.", "journal", "codec"),
		fragmentBytes:   vec("gazette_fragment_open_bytes_total", "Bytes of content of the fragments that were opened.", "journal", "codec"),
		fragmentLengths: vec("gazette_fragment_open_content_length_total", "Bytes that stores said opened fragments have there.", "journal", "codec"),
		fragmentRead:    vec("gazette_read_fragment_bytes_total", "Bytes of content read from stores.", "journal", "codec"),
		fragmentDiscard: vec("gazette_discard_fragment_bytes_total", "Bytes of content read from stores to get to an offset.", "journal", "codec"),
	}
	return m, failed
}
