package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/keyspace"
)

const (
	// A round that etcd failed is tried again after a pause that doubles between these.
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second

	// roundTxns is how many transactions a plan is followed for at most before the next
	// is made: what happened meanwhile doesn't wait for a whole cluster to be filled.
	roundTxns = 256
)

// Config of an Allocator.
type Config struct {
	Client *clientv3.Client
	// KeySpace mirrors Prefix and decodes with Decode; somebody else runs its Watch.
	KeySpace *keyspace.KeySpace
	Prefix   string
	// Self is the member that this process announced: it plans while it leads.
	Self MemberID
	// MaxTxnOps that etcd allows; 0 is DefaultMaxTxnOps.
	MaxTxnOps  int
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil is none
}

// Validate tells what is missing.
func (c Config) Validate() error {
	switch {
	case c.Client == nil:
		return errors.New("allocator: Client is missing")
	case c.KeySpace == nil:
		return errors.New("allocator: KeySpace is missing")
	case c.Prefix == "":
		return errors.New("allocator: Prefix is missing")
	case !validPart(c.Self.Zone) || !validPart(c.Self.Suffix):
		return fmt.Errorf("allocator: Self: %q is not a member", c.Self)
	case c.MaxTxnOps < 0 || c.MaxTxnOps > 0 && c.MaxTxnOps < 16:
		return fmt.Errorf("allocator: MaxTxnOps: %d is below 16", c.MaxTxnOps)
	case c.Logger == nil:
		return errors.New("allocator: Logger is missing")
	}
	return nil
}

// Allocator plans and writes assignments while its member leads.
type Allocator struct {
	config  Config
	logger  *slog.Logger
	metrics *metrics
	// state is nil while another member leads.
	state *state
	// reported is the last list of unplaced items that was logged.
	reported []unplaced
}

// New returns an Allocator that Run drives.
func New(c Config) (*Allocator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.MaxTxnOps == 0 {
		c.MaxTxnOps = DefaultMaxTxnOps
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, fmt.Errorf("allocator: metrics: %w", err)
	}
	return &Allocator{config: c, logger: c.Logger.With(slog.String("prefix", c.Prefix)), metrics: m}, nil
}

// Run keeps the assignments as they should be until ctx is done, whose error it
// returns. It is called once.
func (a *Allocator) Run(ctx context.Context) error {
	pause, apart := minPause, false
	for {
		changed := a.config.KeySpace.Changed()
		o, err := a.round(ctx, apart)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, rpctypes.ErrPermissionDenied):
			return err
		case err != nil:
			a.logger.LogAttrs(ctx, slog.LevelWarn, "allocation failed", slog.String("err", err.Error()), slog.Duration("pause", pause))
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			pause = min(2*pause, maxPause)
			continue
		}
		pause = minPause
		// A conflict that no change of the key space explains is with a key that we
		// can't see since it doesn't decode. Its own group waits for a change; all
		// others are written, each in a transaction of its own.
		if o.conflict && !apart && !isClosed(changed) {
			apart = true
			continue
		}
		apart = false
		if o.more && !o.conflict {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// round makes a plan, if our member leads, and writes it. It returns when the key
// space shows what was written, or what was in conflict with it, and tells whether there
// was such a conflict and whether the next round has more to write.
func (a *Allocator) round(ctx context.Context, apart bool) (outcome, error) {
	view := a.config.KeySpace.View()
	if leaderOf(a.config.Prefix, view) != a.config.Self {
		a.metrics.follow()
		a.state, a.reported = nil, nil
		return outcome{}, nil
	}
	began := time.Now()
	if a.state == nil {
		a.state = readState(a.config.Prefix, view)
	} else {
		a.state = a.state.follow(view)
	}
	s := a.state
	p := s.makePlan()
	a.metrics.lead(s, p, time.Since(began))
	a.report(ctx, s, p)
	txns := makeTxns(s, p, a.config.MaxTxnOps, apart)
	o := outcome{more: len(txns) > roundTxns}
	seen := s.revision
	for _, t := range txns[:min(len(txns), roundTxns)] {
		r, err := a.config.Client.Txn(ctx).If(t.compares...).Then(t.ops...).Commit()
		if err != nil {
			return o, fmt.Errorf("allocator: %s: write assignments: %w", a.config.Prefix, err)
		}
		seen = r.Header.GetRevision()
		if r.Succeeded {
			a.metrics.wrote(t)
			continue
		}
		a.metrics.conflicts.Inc()
		if o.conflict = true; !apart {
			break
		}
	}
	return o, a.config.KeySpace.WaitForRevision(ctx, seen)
}

// outcome of a round.
type outcome struct {
	conflict, more bool
}

// report logs which items aren't placed, when that changes.
func (a *Allocator) report(ctx context.Context, s *state, p plan) {
	if slices.Equal(p.unplaced, a.reported) {
		return
	}
	if len(p.unplaced) == 0 {
		a.logger.LogAttrs(ctx, slog.LevelInfo, "all items are where they should be", slog.Int("items", len(s.items)))
	} else {
		first := p.unplaced[0]
		a.logger.LogAttrs(ctx, slog.LevelWarn, "items are not where they should be", slog.Int("unplaced", len(p.unplaced)),
			slog.Int("items", len(s.items)), slog.Int("members", s.live()),
			slog.String("first", first.item), slog.String("reason", first.reason))
	}
	a.reported = p.unplaced
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
