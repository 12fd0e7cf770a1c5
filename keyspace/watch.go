package keyspace

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// A watch that was lost is begun again after a pause that doubles between these.
	minPause = 20 * time.Millisecond
	maxPause = 2 * time.Second

	// askAgain is the time after which etcd is asked again how far the watch is,
	// while somebody waits: it doesn't answer while the watch isn't caught up.
	askAgain = 100 * time.Millisecond
)

// errLost says that a watch ended without telling why.
var errLost = errors.New("watch was closed")

// Watch follows etcd until ctx is done, whose error it then returns. It goes on
// over lost connections, elections and compaction; the other errors are
// ErrOtherCluster, ErrWentBack, ErrWatched and a refusal of access. After it has
// returned it may be called again.
func (k *KeySpace) Watch(ctx context.Context) error {
	var m *mirror
	select {
	case m = <-k.mirror:
	default:
		return ErrWatched
	}
	defer func() { k.mirror <- m }()

	pause := minPause
	for {
		began := time.Now()
		err := k.follow(ctx, m)
		if ctx.Err() == nil && mustReload(err) {
			err = k.reload(ctx, m)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if isFinal(err) {
			return err
		}
		if time.Since(began) > maxPause {
			pause = minPause
		}
		if err != nil {
			k.logger.LogAttrs(ctx, slog.LevelWarn, "etcd watch was lost",
				slog.String("err", err.Error()), slog.Int64("revision", m.revision), slog.Duration("pause", pause))
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			pause = min(2*pause, maxPause)
		}
	}
}

// mustReload tells whether the watch can't go on from the mirror's revision.
func mustReload(err error) bool {
	return errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, errOutOfOrder)
}

// isFinal tells whether trying again can't help.
func isFinal(err error) bool {
	return errors.Is(err, ErrOtherCluster) || errors.Is(err, ErrWentBack) || errors.Is(err, rpctypes.ErrPermissionDenied)
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

func (k *KeySpace) reload(ctx context.Context, m *mirror) error {
	before := m.revision
	if err := k.load(ctx, m); err != nil {
		return err
	}
	k.publish(m)
	k.logger.LogAttrs(ctx, slog.LevelInfo, "key space was loaded again",
		slog.Int64("from_revision", before), slog.Int64("to_revision", m.revision), slog.Int("keys", m.tree.Len()))
	return nil
}

// follow applies one watch from the mirror's revision on, until it is lost. What
// it has applied is published when it returns.
func (k *KeySpace) follow(ctx context.Context, m *mirror) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	w := clientv3.NewWatcher(k.config.Client)
	defer func() { _ = w.Close() }() // its error is that of ctx
	events := w.Watch(ctx, k.config.Prefix+"/", clientv3.WithPrefix(), clientv3.WithRev(m.revision+1),
		clientv3.WithProgressNotify(), clientv3.WithFragment())

	f := follower{k: k, m: m, ask: func() error { return askProgress(ctx, w) }}
	defer f.close()
	if err := f.serveWaiters(); err != nil {
		return err
	}
	for {
		var err error
		select {
		case r, ok := <-events:
			if !ok {
				return errors.Join(errLost, ctx.Err())
			}
			err = f.receive(r)
		case <-f.batch.c:
			f.publish()
		case <-f.again.c:
			f.again.stop()
			err = f.serveWaiters()
		case <-k.wanted:
			err = f.serveWaiters()
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// askProgress asks etcd to tell how far the watch is. While etcd is away it gives up
// soon: whoever asked asks again.
func askProgress(ctx context.Context, w clientv3.Watcher) error {
	brief, cancel := context.WithTimeout(ctx, askAgain)
	defer cancel()
	if err := w.RequestProgress(brief); err != nil && brief.Err() == nil {
		return err
	}
	return ctx.Err()
}

// follower is the state of one watch.
type follower struct {
	k   *KeySpace
	m   *mirror
	ask func() error // asks etcd to tell how far the watch is

	batch alarm // set while changes wait for others
	again alarm // set while a question to etcd is open
}

func (f *follower) close() {
	f.again.stop()
	f.publish()
}

// receive takes a response of the watch into the mirror.
func (f *follower) receive(r clientv3.WatchResponse) error {
	if err := r.Err(); err != nil {
		return err
	}
	if err := f.m.identify(r.Header); err != nil {
		return err
	}
	if err := f.m.apply(r.Events); err != nil {
		return err
	}
	if r.IsProgressNotify() {
		if err := f.m.advance(r.Header.GetRevision()); err != nil {
			return err
		}
	}
	if !f.m.unpublished {
		return nil
	}
	if reached, _ := f.k.awaited(f.m.revision); reached || f.k.config.BatchDelay == 0 || !f.m.changed {
		f.publish()
	} else if !f.batch.set() {
		f.batch.start(f.k.config.BatchDelay)
	}
	return nil
}

// publish makes a view of what was received since the last.
func (f *follower) publish() {
	f.batch.stop()
	if f.m.unpublished {
		f.k.publish(f.m)
	}
}

// serveWaiters publishes what somebody waits for, and asks etcd about what is
// beyond. Nobody who waits is left without an open question.
func (f *follower) serveWaiters() error {
	reached, beyond := f.k.awaited(f.m.revision)
	if reached {
		f.publish()
	}
	if !beyond || f.again.set() {
		return nil
	}
	f.again.start(askAgain)
	f.publish() // asking may take a while
	return f.ask()
}

// alarm is a timer that may be unset, when its channel is nil.
type alarm struct {
	timer *time.Timer
	c     <-chan time.Time
}

func (a *alarm) set() bool { return a.c != nil }

func (a *alarm) start(d time.Duration) {
	a.timer = time.NewTimer(d)
	a.c = a.timer.C
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
	a.c = nil
}
