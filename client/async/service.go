package async

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	defaultMemory = 64 << 10
	defaultCutOff = 64 << 20
	defaultLimit  = 256 << 20
)

// Appender makes appends; *client.Client does. Both methods try again, until the context
// ends, what certainly was not applied for a reason that passes.
type Appender interface {
	// Append ends with client.ErrUnknownOutcome if it may have been applied.
	Append(ctx context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error)
	// AppendAtLeastOnce goes on until it was applied, maybe more than once.
	AppendAtLeastOnce(ctx context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error)
}

// Config of a Service.
type Config struct {
	// MemoryPerAppend is how many bytes of an append's content are kept in memory, before
	// it goes to a file; 0 is 64 KiB.
	MemoryPerAppend int
	// CutOff is the size from which on an append takes no further writes; 0 is 64 MiB.
	CutOff int64
	// Limit is how many bytes of appends without an outcome are held, before Start waits;
	// 0 is 256 MiB.
	Limit int64
	// HardLimit is how many bytes they can be at most: a Write beyond it fails. 0 is
	// twice the Limit.
	HardLimit int64
	// Dir of files; empty is the system's directory for temporary ones.
	Dir string
	// Metrics to register the service's with; nil registers none.
	Metrics prometheus.Registerer
}

// Validate that limits are in order.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.MemoryPerAppend < 0:
		return fmt.Errorf("memory per append of %d bytes: must not be negative", c.MemoryPerAppend)
	case c.CutOff < 0:
		return fmt.Errorf("cut-off at %d bytes: must not be negative", c.CutOff)
	case c.Limit < 0:
		return fmt.Errorf("limit of %d bytes: must not be negative", c.Limit)
	case c.HardLimit < c.Limit:
		return fmt.Errorf("hard limit of %d bytes is below the limit of %d", c.HardLimit, c.Limit)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.MemoryPerAppend == 0 {
		c.MemoryPerAppend = defaultMemory
	}
	if c.CutOff == 0 {
		c.CutOff = defaultCutOff
	}
	if c.Limit == 0 {
		c.Limit = defaultLimit
	}
	if c.HardLimit == 0 {
		c.HardLimit = 2 * c.Limit
	}
	return c
}

// Service appends for many runs. Its methods may be called concurrently.
type Service struct {
	appender Appender
	cfg      Config
	budget   *budget
	metrics  *metrics
	tasks    *task.Group

	mu     sync.Mutex // held for tasks.Go, so that none is started while Close waits
	closed bool
}

// New returns a service. It appends until Close, or until the context ends.
func New(ctx context.Context, appender Appender, cfg Config) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("append service: %w", err)
	}
	cfg = cfg.withDefaults()
	s := &Service{appender: appender, cfg: cfg, budget: newBudget(cfg.Limit, cfg.HardLimit), tasks: task.New(ctx, "append")}
	var err error
	if s.metrics, err = newMetrics(cfg.Metrics, s.budget); err != nil {
		return nil, fmt.Errorf("append service: %w", err)
	}
	return s, nil
}

// Close ends all appends that are under way, and waits until they have ended. Who wants
// them applied waits for their futures first: see Run.Wait.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.tasks.Cancel()
	err := s.tasks.Wait()
	s.metrics.unregister()
	return err
}

// spawn starts a task, unless the service is closed.
func (s *Service) spawn(name string, fn func(context.Context)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.tasks.Context().Err() != nil {
		return ErrClosed
	}
	s.tasks.Go(name, func(ctx context.Context) error {
		fn(ctx)
		return nil
	})
	return nil
}

// metrics of a service.
type metrics struct {
	registerer prometheus.Registerer
	writes     prometheus.Counter
	appends    prometheus.Counter
	spills     prometheus.Counter
	held       prometheus.GaugeFunc
}

func newMetrics(r prometheus.Registerer, b *budget) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "broadsheet_append_service_" + name, Help: help})
	}
	m := &metrics{
		registerer: r,
		writes:     counter("writes_total", "Writes that were handed over."),
		appends:    counter("appends_total", "Appends that they became."),
		spills:     counter("spills_total", "Appends that went to a file."),
		held: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "broadsheet_append_service_held_bytes",
			Help: "Bytes of appends without an outcome, in memory and files.",
		}, func() float64 { return float64(b.now()) }),
	}
	if r == nil {
		return m, nil
	}
	var failed error
	for _, c := range m.all() {
		failed = errors.Join(failed, r.Register(c))
	}
	return m, failed
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.writes, m.appends, m.spills, m.held}
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.all() {
		m.registerer.Unregister(c)
	}
}
