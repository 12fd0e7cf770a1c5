package persist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	// DefaultMaxUploads is Config.MaxUploads where it is zero.
	DefaultMaxUploads = 32

	firstDelay = 100 * time.Millisecond
	maxDelay   = time.Minute

	// An attempt may take so long, and a second for each MiB of content besides.
	attemptTime = 5 * time.Minute
)

// Stores opens stores by URL; *store.Registry does.
type Stores interface {
	Open(url string) (store.Store, error)
}

// Config of a Persister.
type Config struct {
	// Stores that fragments go to. Needed.
	Stores Stores
	// MaxUploads bounds how many fragments are compressed, uploaded or verified at
	// the same time. Default: DefaultMaxUploads.
	MaxUploads int
	// TempDir is where files are compressed, at most MaxUploads at a time. They have no
	// names, so a crash leaves none. Default: that of the system.
	TempDir string
	// Logger of failures that are retried. Needed.
	Logger *slog.Logger
	// Registerer of the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Validate tells what is missing or wrong.
func (c Config) Validate() error {
	switch {
	case c.Stores == nil:
		return errors.New("persister without stores")
	case c.Logger == nil:
		return errors.New("persister without a logger")
	case c.MaxUploads < 0:
		return fmt.Errorf("persister with %d uploads at a time", c.MaxUploads)
	}
	return nil
}

// Completed is a fragment that is closed and wholly acknowledged.
type Completed = spool.Completed

// ErrNoStore is that a journal has no store: its content is never persisted.
var ErrNoStore = errors.New("the journal has no store")

// RefusedError is why a fragment can't be persisted as its journal's spec is, now or
// later. What to do is to change the spec, or what the operator allows.
type RefusedError struct {
	// Fragment that stays in its spool.
	Fragment fragments.Fragment
	// Err is the reason.
	Err error
}

// Error names the fragment and the reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("persist %s of journal %s: refused: %v", e.Fragment.ContentName(), e.Fragment.Journal, e.Err)
}

// Unwrap is the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// IntegrityError is that bytes aren't those which their name promises. Nothing was
// overwritten, and the fragment stays in its spool; somebody has to look.
type IntegrityError struct {
	// Fragment whose content it should be.
	Fragment fragments.Fragment
	// Object whose bytes are wrong: of the store, with its URL; or the spool.
	Object string
	// Reason, as a clause.
	Reason string
}

// Error names the journal, the object and the reason.
func (e *IntegrityError) Error() string {
	return fmt.Sprintf("integrity of journal %s [%d, %d): %s: %s",
		e.Fragment.Journal, e.Fragment.Begin, e.Fragment.End, e.Object, e.Reason)
}

// Persister puts completed fragments into stores. It is safe for concurrent use,
// and has no goroutines of its own.
type Persister struct {
	config  Config
	slots   chan struct{} // Holds a value for each upload under way.
	exiting chan struct{} // Closed by Exit.
	exit    sync.Once
	metrics *metrics
}

// New returns a persister.
func New(config Config) (*Persister, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.MaxUploads == 0 {
		config.MaxUploads = DefaultMaxUploads
	}
	if config.TempDir == "" {
		config.TempDir = os.TempDir()
	}
	return &Persister{
		config:  config,
		slots:   make(chan struct{}, config.MaxUploads),
		exiting: make(chan struct{}),
		metrics: newMetrics(config.Registerer),
	}, nil
}

// Exit tells that the process is to end, which it can't before its fragments are stored.
// From now on a fragment whose store doesn't permit it goes to the journal's next one.
// (Not before: a store that refuses is to be mended, or fragments would be scattered.)
func (p *Persister) Exit() { p.exit.Do(func() { close(p.exiting) }) }

func (p *Persister) isExiting() bool {
	select {
	case <-p.exiting:
		return true
	default:
		return false
	}
}

// Persist returns c as a stored fragment once the first store of the journal is
// known to hold its content, for good. Until then it tries again, ever more seldom,
// until ctx ends; the error then is the context's cause with the last failure. A
// *RefusedError and an *IntegrityError are returned at once.
//
// The spec is the one at the time of the call: end ctx and call anew if it changes.
func (p *Persister) Persist(ctx context.Context, spec *protocol.JournalSpec, c Completed) (fragments.Fragment, error) {
	stores := spec.GetFragment().GetStores()
	next := 0 // Of the stores.
	u, err := p.planFrom(spec, c, &next)
	if err != nil {
		return fragments.Fragment{}, err
	}
	for delay := firstDelay; ; delay = min(2*delay, maxDelay) {
		stored, err := p.attempt(ctx, u)
		var damaged *IntegrityError
		switch {
		case err == nil:
			p.metrics.persisted.Inc()
			return stored, nil
		case errors.Is(err, store.ErrNotAllowed) && p.isExiting() && next < len(stores):
			if u, err = p.planFrom(spec, c, &next); err != nil {
				return fragments.Fragment{}, err
			}
			delay = firstDelay / 2
			continue
		case errors.Is(err, store.ErrEncoding):
			return fragments.Fragment{}, &RefusedError{Fragment: u.Fragment, Err: err}
		case errors.As(err, &damaged):
			p.metrics.damaged.Inc()
			return fragments.Fragment{}, fmt.Errorf("persist %s: %w", u.path, err)
		}
		// Half to all of the delay, so that those who failed together try apart.
		wait := delay/2 + rand.N(delay/2) //nolint:gosec // no secret
		if !p.pause(ctx, u, wait, err) {
			return fragments.Fragment{}, fmt.Errorf("persist %s in store %s: %w; last failure: %w",
				u.path, u.Store, context.Cause(ctx), err)
		}
	}
}

// pause logs a failure that will be retried and waits; it returns false once ctx ended.
func (p *Persister) pause(ctx context.Context, u *upload, wait time.Duration, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	p.metrics.retries.Inc()
	p.config.Logger.WarnContext(ctx, "fragment is not persisted yet",
		slog.String("journal", u.Journal), slog.String("object", u.path), slog.String("store", u.Store),
		slog.Duration("retry_in", wait), slog.Any("error", err))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	exiting := p.exiting
	if p.isExiting() {
		exiting = nil // It was told already.
	}
	select {
	case <-timer.C:
		return true
	case <-exiting:
		return true
	case <-ctx.Done():
		return false
	}
}

// planFrom plans for the store of that index, which it moves on: past stores that the
// operator doesn't allow, if the process exits and there are others.
func (p *Persister) planFrom(spec *protocol.JournalSpec, c Completed, next *int) (*upload, error) {
	for {
		u, err := p.plan(spec, c, *next)
		*next++
		if !errors.Is(err, store.ErrNotAllowed) || !p.isExiting() || *next >= len(spec.GetFragment().GetStores()) {
			return u, err
		}
	}
}

// plan decides where in a store of the journal a fragment goes, or refuses it.
func (p *Persister) plan(spec *protocol.JournalSpec, c Completed, at int) (*upload, error) {
	u := &upload{Completed: c, tempDir: p.config.TempDir}
	refuse := func(err error) (*upload, error) { return nil, &RefusedError{Fragment: u.Fragment, Err: err} }
	stores := spec.GetFragment().GetStores()
	switch {
	case c.Content == nil || c.Begin >= c.End || c.Sum == [20]byte{}:
		return refuse(errors.New("it is not a fragment with content and its sum"))
	case spec.GetName() != c.Journal:
		return refuse(fmt.Errorf("the spec is that of journal %q", spec.GetName()))
	case len(stores) == 0:
		return refuse(ErrNoStore)
	case c.Codec == protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION && strings.HasPrefix(stores[at], "file:"):
		return refuse(fmt.Errorf("store %s can't decompress %s", stores[at], c.Codec))
	}
	var err error
	if u.PathPostfix, err = spec.PathPostfix(protocol.PostfixSpool{
		Journal:          c.Journal,
		Begin:            c.Begin,
		End:              c.End,
		Sum:              c.Sum,
		CompressionCodec: c.Codec,
		FirstAppendTime:  c.FirstAppend,
		Registers:        c.Registers,
	}); err != nil {
		return refuse(fmt.Errorf("path postfix template: %w", err))
	}
	u.Store, u.Name, u.ModTime = stores[at], "", 0
	if err = u.Proto().Validate(); err != nil {
		return refuse(err)
	}
	if u.dest, err = p.config.Stores.Open(u.Store); err != nil {
		return refuse(err)
	}
	u.path = u.ContentPath()
	return u, nil
}

// attempt tries once, in a slot.
func (p *Persister) attempt(ctx context.Context, u *upload) (fragments.Fragment, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return fragments.Fragment{}, context.Cause(ctx)
	}
	p.metrics.active.Inc()
	defer func() {
		p.metrics.active.Dec()
		<-p.slots
	}()
	allowed := attemptTime + time.Duration(u.Length()>>20)*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, allowed, fmt.Errorf("took longer than %s", allowed))
	defer cancel()
	return u.run(ctx)
}
