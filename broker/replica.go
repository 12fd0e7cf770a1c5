package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/persist"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// replicaEnv is what all replicas of a broker share.
type replicaEnv struct {
	spools    *spool.Dir
	stores    *store.Registry
	persister *persist.Persister
	logger    *slog.Logger
	metrics   *metrics
	now       func() time.Time
	// exists tells whether there is a journal of a name.
	exists func(name string) bool
	// settled is called when it became known whether a spool can be opened.
	settled func()
	// advertise writes the journal's route into its assignments, if they have another.
	advertise func(ctx context.Context, name string) error
}

// pipeline is the right to append to a journal. There is one for each replica, and
// whoever took it off replica.pipeline is the only one to write or roll.
type pipeline struct {
	last *spool.Commit // newest append; nil if there was none since the spool was opened
}

// replica is a journal that this broker holds: its spool, and the index of its
// fragments. It lives as long as the assignment does.
type replica struct {
	id    spool.ID
	env   *replicaEnv
	log   *slog.Logger
	group *task.Group
	index *fragments.Index

	pipeline chan *pipeline // holds the one pipeline when nobody does
	opened   chan struct{}  // closed once spool is set
	spool    *spool.Journal
	failed   chan struct{} // closed when the first attempt to open failed
	closed   chan struct{} // closed first of all when the replica is given up
	done     chan struct{} // closed last of all
	full     chan struct{} // cap 1: a fragment was completed
	tended   chan struct{} // cap 1: spec or route changed

	registers registerHistory
	listing   *listing // of the stores

	publishing sync.Mutex // held while the local entries of the index are replaced
	published  int64      // watermark that the index has; under publishing

	mu      sync.Mutex
	spec    *protocol.JournalSpec
	openErr error              // of the last attempt
	retry   context.CancelFunc // ends the attempt to persist, to begin it anew; or nil
}

// newReplica returns a replica whose tasks end with ctx. They open its spool once
// after is closed, or at once if that is nil.
func newReplica(ctx context.Context, env *replicaEnv, j journal, after <-chan struct{}) *replica {
	name := j.spec.GetName()
	r := &replica{
		id:       spool.ID{Journal: name, CreateRevision: j.createRevision},
		env:      env,
		log:      env.logger.With(slog.String("journal", name)),
		group:    task.New(ctx, "replica "+name),
		index:    fragments.NewIndex(),
		pipeline: make(chan *pipeline, 1),
		opened:   make(chan struct{}),
		failed:   make(chan struct{}),
		closed:   make(chan struct{}),
		done:     make(chan struct{}),
		full:     make(chan struct{}, 1),
		tended:   make(chan struct{}, 1),
		listing:  newListing(),
		spec:     j.spec,
	}
	r.group.Go("tend", func(ctx context.Context) error { return r.tend(ctx, after) })
	r.group.Go("refresh", r.refresh)
	r.group.Go("persist", r.persist)
	return r
}

// notify wakes the reader of a channel of capacity 1.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is to wake already
	}
}

// update takes a changed spec, and looks at the route again.
func (r *replica) update(spec *protocol.JournalSpec) {
	r.mu.Lock()
	changed := r.spec != spec
	r.spec = spec
	if changed && r.retry != nil {
		r.retry()
	}
	r.mu.Unlock()
	if changed {
		r.listing.again()
		notify(r.full)
	}
	notify(r.tended)
}

func (r *replica) currentSpec() *protocol.JournalSpec {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spec
}

// Bounds of the pause between attempts to open a spool.
const minReopen, maxReopen = time.Second, time.Minute

// open opens the spool, trying again until ctx is done: the disk may have room
// later, or its operator may have mended it.
func (r *replica) open(ctx context.Context) error {
	pause := minReopen
	for {
		s, err := r.env.spools.Journal(ctx, r.id, spool.JournalOptions{
			Codec: r.currentSpec().GetFragment().GetCompressionCodec(),
		})
		if err == nil {
			r.mu.Lock()
			r.openErr = nil
			r.mu.Unlock()
			state := s.State()
			r.registers.reset(state.End, state.Registers)
			r.spool = s
			close(r.opened)
			r.publish(0)
			r.pipeline <- new(pipeline)
			r.env.settled()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.log.LogAttrs(ctx, slog.LevelError, "spool not opened: the journal is not served",
			slog.Any("error", err), slog.Duration("retry_in", pause))
		r.mu.Lock()
		r.openErr = fmt.Errorf("journal %s: open its spool: %w", r.id.Journal, err)
		r.mu.Unlock()
		closeOnce(r.failed)
		r.env.settled()
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxReopen)
	}
}

// wait for a time, or for ctx.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitOpen waits until the spool is open. If the last attempt failed it returns
// its error at once.
func (r *replica) awaitOpen(ctx context.Context) error {
	select {
	case <-r.opened:
		return nil
	default:
	}
	select {
	case <-r.opened:
		return nil
	case <-r.failed:
		r.mu.Lock()
		defer r.mu.Unlock()
		return localError(r.openErr)
	case <-r.closed:
		return errReplicaClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// isClosed tells whether the replica was given up.
func (r *replica) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// acquire takes the pipeline, after those who wait already.
func (r *replica) acquire(ctx context.Context) (*pipeline, error) {
	if r.isClosed() {
		return nil, errReplicaClosed
	}
	select {
	case p := <-r.pipeline:
		return p, nil
	case <-r.closed:
		return nil, errReplicaClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// release gives the pipeline back.
func (r *replica) release(p *pipeline) { r.pipeline <- p }

// head is what the holder of the pipeline decides by. The index is looked at first:
// whatever of it is local is then below the spool's end.
func (r *replica) head() headView {
	begin, end, _ := r.index.Bounds()
	s := r.spool.State()
	return r.view(s, s.End, s.Registers, begin, end)
}

// durableHead is the head as far as it is durable. It needs no pipeline. Readers see
// as far from then on: what one client was told the next one doesn't miss.
func (r *replica) durableHead() headView {
	begin, end, _ := r.index.Bounds()
	s, registers := r.registers.at(r.spool.State)
	r.publish(s.Watermark)
	return r.view(s, s.Watermark, registers, begin, end)
}

func (r *replica) view(s spool.State, end int64, registers *protocol.LabelSet, indexBegin, indexEnd int64) headView {
	return headView{
		end: end, registers: registers, codec: s.Codec, openBegin: s.Begin, first: s.FirstAppend, now: r.env.now(),
		indexBegin: indexBegin, indexEnd: indexEnd,
	}
}

// write appends the content with the pipeline in hand; registers nil are unchanged.
func (r *replica) write(p *pipeline, content *body, registers *protocol.LabelSet) (committed, error) {
	if registers != nil {
		r.registers.add(r.spool.State().End+content.size, registers)
	}
	c, err := r.spool.Append(content.reader(), content.size, registers)
	if err != nil {
		if registers != nil {
			r.registers.dropLast()
		}
		return committed{}, localError(fmt.Errorf("journal %s: append to its spool: %w", r.id.Journal, err))
	}
	p.last = c
	return committed{begin: c.Begin, end: c.End, sum: c.Sum}, nil
}

// roll closes the open fragment, with the pipeline in hand, and begins the next.
func (r *replica) roll() error {
	err := r.spool.Roll(spool.RollOptions{
		Codec: r.currentSpec().GetFragment().GetCompressionCodec(),
		Begin: r.spool.State().End,
	})
	if err != nil {
		return localError(fmt.Errorf("journal %s: close its open fragment: %w", r.id.Journal, err))
	}
	r.publish(0)
	notify(r.full)
	return nil
}

// settle waits until c and all before it are durable, and then visible to readers.
// It doesn't end early: while a client may have gone, the bytes stay.
func (r *replica) settle(ctx context.Context, c *spool.Commit) error {
	if c == nil {
		return nil
	}
	if err := c.Durable(context.WithoutCancel(ctx)); err != nil {
		return localError(fmt.Errorf("journal %s: append up to offset %d: %w", r.id.Journal, c.End, err))
	}
	r.publish(c.End)
	return nil
}

// publish shows readers what is durable, unless they see as far as end already. End
// 0 stands for a change of the fragments.
func (r *replica) publish(end int64) {
	r.publishing.Lock()
	defer r.publishing.Unlock()
	if r.isClosed() || end != 0 && end <= r.published {
		return
	}
	// The open one is looked at first: if it is completed meanwhile it is among the
	// completed too, and if another is opened that one waits for the next call.
	open := r.spool.Open()
	completed := r.spool.Completed()
	entries := make([]fragments.Entry, 0, len(completed)+1)
	for _, c := range completed {
		entries = append(entries, fragments.Entry{Fragment: c.Fragment, Local: c.Content})
	}
	r.published = open.End
	r.index.SetLocal(append(entries, open))
}

// close gives the replica up: appends and reads of it end, and its spool is closed
// cleanly. The spool stays.
func (r *replica) close() error {
	close(r.closed)
	defer close(r.done)
	r.group.Cancel()
	err := r.group.Wait()
	select {
	case <-r.opened:
		<-r.pipeline // whoever writes now does so to the end; nobody does thereafter
		r.publishing.Lock()
		defer r.publishing.Unlock()
		err = errors.Join(err, r.spool.Close())
	default:
	}
	if err != nil {
		return fmt.Errorf("close replica of journal %s: %w", r.id.Journal, err)
	}
	return nil
}

// registerHistory tells the registers of a journal at a recent offset.
type registerHistory struct {
	mu   sync.Mutex
	sets []registersAt // in order; the first is the oldest that is still asked for
}

type registersAt struct {
	end int64
	set *protocol.LabelSet
}

func (h *registerHistory) reset(end int64, set *protocol.LabelSet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets = []registersAt{{end, set}}
}

// add registers that take effect at an offset beyond all before.
func (h *registerHistory) add(end int64, set *protocol.LabelSet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets = append(h.sets, registersAt{end, set})
}

// dropLast takes back the last ones added.
func (h *registerHistory) dropLast() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets = h.sets[:len(h.sets)-1]
}

// at returns the state of the spool and the registers at its watermark. Of two calls
// the later one sees the later watermark: so what is before it isn't kept.
func (h *registerHistory) at(state func() spool.State) (spool.State, *protocol.LabelSet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := state()
	for len(h.sets) > 1 && h.sets[1].end <= s.Watermark {
		h.sets = h.sets[1:]
	}
	return s, h.sets[0].set
}
