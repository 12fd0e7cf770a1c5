package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/task"
)

// MaxStores bounds the stores that are watched: their URLs come from clients.
const MaxStores = 1024

// Stores opens stores by URL; *store.Registry does.
type Stores interface {
	Open(url string) (store.Store, error)
}

// Config of a Checker.
type Config struct {
	// Stores to check. Needed.
	Stores Stores
	// Logger of stores that become unhealthy, or healthy again. Needed.
	Logger *slog.Logger
	// Registerer of the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Validate tells what is missing.
func (c Config) Validate() error {
	switch {
	case c.Stores == nil:
		return errors.New("health checker without stores")
	case c.Logger == nil:
		return errors.New("health checker without a logger")
	}
	return nil
}

// UnhealthyError is that a store failed its checks.
type UnhealthyError struct {
	// Failures in a row.
	Failures int
	// Err is how the last check failed. It names the store.
	Err error
}

// Error says how the last check failed, and how many have.
func (e *UnhealthyError) Error() string {
	return fmt.Sprintf("fragment store is unhealthy after %d checks: %v", e.Failures, e.Err)
}

// Unwrap is how the last check failed.
func (e *UnhealthyError) Unwrap() error { return e.Err }

// errClosed is that the checker is closed.
var errClosed = errors.New("the health checker is closed")

// Checker watches stores. It is safe for concurrent use.
type Checker struct {
	config Config
	group  *task.Group
	checks *prometheus.CounterVec

	mu      sync.Mutex
	closed  bool
	watched map[string]*watch // By URL, with arguments.
}

// watch is a store that is watched. Its fields are guarded by the checker's mutex.
type watch struct {
	cancel   context.CancelFunc
	used     time.Time     // When it was last asked for.
	changed  chan struct{} // Closed with the next check's end.
	checked  bool          // Whether a check has ended.
	failures int           // In a row.
	err      error         // Of the last check.
}

// New returns a checker, which is to be closed.
func New(config Config) (*Checker, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Checker{
		config: config,
		// Watches outlive the calls that start them, and end with Close.
		group:   task.New(context.Background(), "store health"),
		watched: make(map[string]*watch),
		checks: promauto.With(config.Registerer).NewCounterVec(prometheus.CounterOpts{
			Name: "gazette_store_health_check_total",
			Help: "Health checks of stores.",
		}, []string{"store", "status"}),
	}, nil
}

// Close ends all checks. Who waits is told.
func (c *Checker) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.group.Cancel()
	return c.group.Wait()
}

// Check returns how the last check of a store ended, after waiting for the first. A URL
// that can't be opened is an error of the registry.
func (c *Checker) Check(ctx context.Context, url string) error {
	return c.wait(ctx, url, func(w *watch) (bool, error) { return w.checked, w.err })
}

// Await returns once a store is healthy, or an *UnhealthyError when it has failed so
// many checks in a row that waiting for it makes no sense. As long as that lasts it
// does so at once. If ctx ends, what is returned says how the last check failed, too.
func (c *Checker) Await(ctx context.Context, url string) error {
	return c.wait(ctx, url, func(w *watch) (bool, error) {
		if w.failures >= patience {
			return true, &UnhealthyError{Failures: w.failures, Err: w.err}
		}
		return w.checked && w.err == nil, nil
	})
}

// wait asks again after each check until ended says so.
func (c *Checker) wait(ctx context.Context, url string, ended func(*watch) (bool, error)) error {
	for {
		w, err := c.ask(url)
		if err != nil {
			return err
		}
		c.mu.Lock()
		done, err := ended(w)
		last, changed := w.err, w.changed
		c.mu.Unlock()
		if done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if last != nil {
				return fmt.Errorf("%w; last check: %w", context.Cause(ctx), last)
			}
			return context.Cause(ctx)
		case <-c.group.Context().Done():
			return errClosed
		}
	}
}

// ask returns the watch of a store, which it starts if there is none.
func (c *Checker) ask(url string) (*watch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if w := c.watched[url]; w != nil {
		w.used = time.Now()
		return w, nil
	}
	s, err := c.config.Stores.Open(url)
	if err != nil {
		return nil, err
	}
	if len(c.watched) >= MaxStores {
		c.evict()
	}
	ctx, cancel := context.WithCancel(c.group.Context())
	w := &watch{cancel: cancel, used: time.Now(), changed: make(chan struct{})}
	c.watched[url] = w
	c.group.Go("watch", func(context.Context) error {
		defer cancel()
		c.run(ctx, url, s, w)
		return nil
	})
	return w, nil
}

// evict stops the watch that was asked for longest ago.
func (c *Checker) evict() {
	oldest := ""
	for url, w := range c.watched {
		if oldest == "" || w.used.Before(c.watched[oldest].used) {
			oldest = url
		}
	}
	c.stop(oldest, c.watched[oldest])
}

// stop takes a watch away. Who waits for it asks again.
func (c *Checker) stop(url string, w *watch) {
	delete(c.watched, url)
	w.cancel()
	close(w.changed)
	w.changed = make(chan struct{})
}

// run checks a store until it is stopped, or isn't asked for any more.
func (c *Checker) run(ctx context.Context, url string, s store.Store, w *watch) {
	for {
		err := check(ctx, s)
		if ctx.Err() != nil {
			return
		}
		pause := c.note(url, w, err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		c.mu.Lock()
		if ctx.Err() == nil && time.Since(w.used) > unused {
			c.stop(url, w)
		}
		c.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
	}
}

// note writes down how a check ended, tells who waits, and says how long to pause.
func (c *Checker) note(url string, w *watch, err error) time.Duration {
	name, _, _ := strings.Cut(url, "?") // Arguments may be secret.
	status := "ok"
	if err != nil {
		status = "error"
	}
	c.checks.WithLabelValues(name, status).Inc()

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && w.failures == 0:
		c.config.Logger.Warn("store is unhealthy", slog.String("store", name), slog.Any("error", err))
	case err == nil && w.failures > 0:
		c.config.Logger.Info("store is healthy again", slog.String("store", name), slog.Int("failures", w.failures))
	}
	w.checked, w.err = true, err
	w.failures++
	if err == nil {
		w.failures = 0
	}
	close(w.changed)
	w.changed = make(chan struct{})
	return delay(w.failures, rand.Float64()) //nolint:gosec // no secret
}
