package keep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
)

// View is a materialized view that is to be kept.
type View struct {
	ID       int64
	Standbys int
	// Journals are those of the table that it reads.
	Journals []string
	// Skipped are rows of theirs that the view does without.
	Skipped []catalog.RowPlace
	// Err is why they aren't known: the shard stays as it is then.
	Err error
}

// Entries are what the catalog says.
type Entries struct {
	Views []View
	// Unknown tells that there may be views which aren't among them.
	Unknown bool
}

// Journals is what a Keeper asks of brokers. A client.Client has it.
type Journals interface {
	List(ctx context.Context, selector *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error)
	Apply(ctx context.Context, changes []*protocol.ApplyRequest_Change) (*protocol.ApplyResponse, error)
}

// Config of a Keeper.
type Config struct {
	// Entries tells which views there are to be, at a moment after it was called; Changed returns what is closed
	// once that may be others.
	Entries func(ctx context.Context) (Entries, error)
	Changed func() <-chan struct{}
	// Shards are those of the hosts that keep views.
	Shards   shards.ShardClient
	Journals Journals
	// Etcd has the hints of shards, below HintPrefix.
	Etcd       clientv3.KV
	HintPrefix string
	Logger     *slog.Logger
}

// Keeper lets shards follow the entries.
type Keeper struct{ cfg Config }

// New returns a keeper that does nothing before Run.
func New(cfg Config) *Keeper { return &Keeper{cfg: cfg} }

// How often a pass is made though nothing changed here, since journals come and go too, and after one that failed.
const (
	passEvery  = 10 * time.Second
	retryAfter = time.Second
)

// Run makes passes until ctx is done.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		changed, again := k.cfg.Changed(), passEvery
		if done, err := k.Pass(ctx); err != nil && ctx.Err() == nil {
			k.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "shards of materialized views don't follow the catalog", slog.Any("error", err))
			again = retryAfter
		} else if !done {
			again = retryAfter
		}
		timer := time.NewTimer(again)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// Pass makes what lacks, changes what differs, and removes what has no entry any more. It tells whether that is all: if
// something else changed it meanwhile, or a log has to wait until its shard has gone, another one is due.
func (k *Keeper) Pass(ctx context.Context) (bool, error) {
	p := pass{cfg: &k.cfg, shards: map[int64]*shards.ListResponse_Shard{}, logs: map[int64]*protocol.ListResponse_Journal{}, done: true}
	if err := p.list(ctx); err != nil {
		return false, err
	}
	entries, err := k.cfg.Entries(ctx)
	if err != nil {
		return false, err
	}
	var errs []error
	wanted := make(map[int64]bool, len(entries.Views))
	for _, v := range entries.Views {
		wanted[v.ID] = true
		err := v.Err
		if err == nil {
			err = p.keep(ctx, v)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("view %d: %w", v.ID, err))
		}
	}
	if !entries.Unknown {
		errs = append(errs, p.forget(ctx, wanted))
	}
	return p.done, errors.Join(errs...)
}

// pass is what there was before the entries were asked for.
type pass struct {
	cfg    *Config
	shards map[int64]*shards.ListResponse_Shard
	logs   map[int64]*protocol.ListResponse_Journal
	done   bool
}

func (p *pass) list(ctx context.Context) error {
	r, err := p.cfg.Shards.List(ctx, &shards.ListRequest{})
	if err != nil {
		return fmt.Errorf("list shards of views: %w", err)
	}
	if r.GetStatus() != shards.Status_OK {
		return fmt.Errorf("list shards of views: %w", r.GetStatus().Err())
	}
	for _, s := range r.GetShards() {
		if id, ok := viewOf(LogPrefix + "/" + s.GetSpec().GetId()); ok {
			p.shards[id] = s
		}
	}
	logs, err := p.cfg.Journals.List(ctx, &protocol.LabelSelector{Include: protocol.MustLabelSet(protocol.MetaLabelPrefix, LogPrefix+"/")})
	if err != nil {
		return fmt.Errorf("list recovery logs of views: %w", err)
	}
	for _, j := range logs {
		if id, ok := viewOf(j.GetSpec().GetName()); ok {
			p.logs[id] = j
		}
	}
	return nil
}

// keep makes a view's log and shard, or lets the shard be as the view is.
func (p *pass) keep(ctx context.Context, v View) error {
	spec := Spec(v, p.cfg.HintPrefix)
	now := p.shards[v.ID]
	if now != nil {
		next := follow(now.GetSpec(), spec)
		if next == nil {
			return nil
		}
		return p.applyShard(ctx, &shards.ApplyRequest_Change{Upsert: next, ExpectModRevision: now.GetModRevision()})
	}
	if p.logs[v.ID] == nil {
		sources, err := p.sources(ctx, v)
		if err != nil {
			return err
		}
		if err := p.applyLog(ctx, &protocol.ApplyRequest_Change{Upsert: Log(v.ID, sources)}); err != nil {
			return err
		}
	}
	return p.applyShard(ctx, &shards.ApplyRequest_Change{Upsert: spec})
}

// sources are the specs of the journals that a view reads.
func (p *pass) sources(ctx context.Context, v View) ([]*protocol.JournalSpec, error) {
	var out []*protocol.JournalSpec
	for _, j := range v.Journals {
		found, err := p.cfg.Journals.List(ctx, &protocol.LabelSelector{Include: protocol.MustLabelSet(protocol.MetaLabelName, j)})
		if err != nil {
			return nil, fmt.Errorf("list journal %s: %w", j, err)
		}
		for _, x := range found {
			out = append(out, x.GetSpec())
		}
	}
	if len(out) == 0 {
		return nil, errors.New("none of its journals is there yet")
	}
	return out, nil
}

// forget removes the shards that no view has, and the logs of those that have gone before.
func (p *pass) forget(ctx context.Context, wanted map[int64]bool) error {
	var errs []error
	for id, s := range p.shards {
		if wanted[id] {
			continue
		}
		p.done = false // its log is next
		if err := p.applyShard(ctx, &shards.ApplyRequest_Change{Delete: s.GetSpec().GetId(), ExpectModRevision: s.GetModRevision()}); err != nil {
			errs = append(errs, fmt.Errorf("shard of view %d: %w", id, err))
		}
	}
	for id, j := range p.logs {
		if wanted[id] || p.shards[id] != nil {
			continue
		}
		_, err := p.cfg.Etcd.Delete(ctx, p.cfg.HintPrefix+"/"+ShardID(id)+".", clientv3.WithPrefix())
		if err == nil {
			err = p.applyLog(ctx, &protocol.ApplyRequest_Change{Delete: j.GetSpec().GetName(), ExpectModRevision: j.GetModRevision()})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("recovery log of view %d: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// applyShard makes a change, unless another was made since.
func (p *pass) applyShard(ctx context.Context, c *shards.ApplyRequest_Change) error {
	r, err := p.cfg.Shards.Apply(ctx, &shards.ApplyRequest{Changes: []*shards.ApplyRequest_Change{c}})
	if err != nil {
		return fmt.Errorf("change its shard: %w", err)
	}
	if r.GetStatus() == shards.Status_ETCD_TRANSACTION_FAILED {
		p.done = false
		return nil
	}
	return r.GetStatus().Err()
}

// applyLog is the same for a log.
func (p *pass) applyLog(ctx context.Context, c *protocol.ApplyRequest_Change) error {
	r, err := p.cfg.Journals.Apply(ctx, []*protocol.ApplyRequest_Change{c})
	if err != nil && r.GetStatus() == protocol.Status_ETCD_TRANSACTION_FAILED {
		p.done = false
		return nil
	}
	if err != nil {
		return fmt.Errorf("change its recovery log: %w", err)
	}
	return nil
}
