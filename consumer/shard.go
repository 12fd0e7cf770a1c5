package consumer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/message"
)

// Shard is what an application sees of a shard whose primary it is. It is made anew each time that the process
// becomes primary.
type Shard struct {
	ctx       context.Context //nolint:containedctx // the lifetime of the primary
	fqn       string
	spec      *atomic.Pointer[shards.ShardSpec]
	client    *client.Client
	publisher *publish.Publisher
	recorder  Recorder
	recovered *recoverylog.FSMHints
	progress  *progress
	leaving   chan struct{}

	mu  sync.Mutex
	now map[string]async.Operation // by journal, what PublishNow has under way, and the next commit waits for
}

// Context ends when the process isn't the shard's primary any more.
func (s *Shard) Context() context.Context { return s.ctx }

// Leaving is closed once the shard is to end in order: another host is to have it, or its specification was edited. The
// transaction that was begun is finished, which must not take for ever; none follows.
func (s *Shard) Leaving() <-chan struct{} { return s.leaving }

// Spec of the shard, as it is now.
func (s *Shard) Spec() *shards.ShardSpec { return s.spec.Load() }

// FQN is the shard's key in etcd: its name among those of all applications.
func (s *Shard) FQN() string { return s.fqn }

// Client of the brokers.
func (s *Shard) Client() *client.Client { return s.client }

// Recorder of the shard's recovery log; nil if it has none.
func (s *Shard) Recorder() Recorder { return s.recorder }

// RecoveredHints are those by which the shard's files could be recovered as they were when it became primary; nil if it
// has no recovery log.
func (s *Shard) RecoveredHints() *recoverylog.FSMHints { return s.recovered }

// Publish a message as part of the transaction: it is there for readers once the transaction is acknowledged. It is
// called within BeginTxn, ConsumeMessage and FinalizeTxn.
func (s *Shard) Publish(ctx context.Context, to publish.Mapping, m message.Message) (*async.Future, error) {
	return s.publisher.PublishUncommitted(ctx, to, m)
}

// PublishNow publishes a message that is there for readers at once, whatever becomes of the transaction: after a
// failure it may be published again. The next commit waits for it. It may be called at any time.
func (s *Shard) PublishNow(ctx context.Context, to publish.Mapping, m message.Message) (*async.Future, error) {
	f, err := s.publisher.PublishCommitted(ctx, to, m)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now[f.Journal()] = f
	return f, nil
}

// published are the appends of PublishNow since the last call: of each journal one that fails if any did.
func (s *Shard) published() []async.Operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Collect(maps.Values(s.now))
	clear(s.now)
	return out
}

// Progress of the shard: what of its sources is in transactions that are committed and acknowledged, and up to where
// it has published since it became primary.
func (s *Shard) Progress() Progress { return s.progress.now() }

// Progress of a shard, by journal. It isn't changed once made.
type Progress struct {
	// ReadThrough is up to which offset sources were read.
	ReadThrough map[string]int64
	// PublishAt is up to which offset messages were published.
	PublishAt map[string]int64
}

// reached tells whether sources were read up to offsets.
func (p Progress) reached(offsets map[string]int64) bool {
	for journal, offset := range offsets {
		if p.ReadThrough[journal] < offset {
			return false
		}
	}
	return true
}

// reads tells whether all of the journals are sources; an error names one that isn't. One that was a source is, as far as it was read.
func (s *Shard) reads(offsets map[string]int64) error {
	spec, read := s.Spec(), s.Progress().ReadThrough
	for _, journal := range slices.Sorted(maps.Keys(offsets)) {
		through, was := read[journal]
		if is := slices.ContainsFunc(spec.GetSources(), func(x *shards.ShardSpec_Source) bool { return x.GetJournal() == journal }); is {
			continue
		}
		if !was || through < offsets[journal] {
			return status.Errorf(codes.InvalidArgument, "shard %s: journal %s isn't one of its sources, and so it is never read through %d",
				spec.GetId(), journal, offsets[journal])
		}
	}
	return nil
}

// progress that others wait for.
type progress struct {
	mu      sync.Mutex
	last    Progress
	changed chan struct{}
}

func newProgress(read map[string]message.JournalState) *progress {
	p := &progress{changed: make(chan struct{}), last: Progress{ReadThrough: make(map[string]int64, len(read))}}
	for journal, state := range read {
		p.last.ReadThrough[journal] = state.ReadThrough
	}
	return p
}

func (p *progress) now() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// advance to what a transaction read and published.
func (p *progress) advance(read, published map[string]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := Progress{ReadThrough: maps.Clone(p.last.ReadThrough), PublishAt: published}
	maps.Copy(next.ReadThrough, read)
	p.last = next
	close(p.changed)
	p.changed = make(chan struct{})
}

// await that sources are read up to offsets, or that the primary ends.
func (p *progress) await(ctx, primary context.Context, offsets map[string]int64) error {
	for {
		p.mu.Lock()
		last, changed := p.last, p.changed
		p.mu.Unlock()
		if last.reached(offsets) {
			return nil
		}
		select {
		case <-changed:
		case <-primary.Done():
			return shards.Status_SHARD_STOPPED.Err()
		case <-ctx.Done():
			return fmt.Errorf("wait for offsets to be read: %w", context.Cause(ctx))
		}
	}
}
