package broker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/allocator"
)

const (
	// farewell bounds what a stopping broker tells etcd: that it is leaving, and that
	// its lease has ended.
	farewell = 2 * time.Second
	// minSession, maxSession bound the pause before another lease is tried.
	minSession, maxSession = 100 * time.Millisecond, 5 * time.Second
)

// session keeps the broker announced. A lease that was lost is replaced by another:
// the journals are assigned anew, and their spools are still ours.
type session struct {
	broker *Broker
	// announced has the present announcement, unless there is none.
	announced chan *allocator.Announcement
}

func newSession(b *Broker) *session {
	return &session{broker: b, announced: make(chan *allocator.Announcement, 1)}
}

// run until ctx is done.
func (s *session) run(ctx context.Context) error {
	pause := minSession
	for {
		began := time.Now()
		err := s.once(ctx)
		if ctx.Err() != nil {
			if err != nil {
				s.broker.log.LogAttrs(ctx, slog.LevelWarn, "lease not ended: it runs out by itself", slog.Any("error", err))
			}
			return ctx.Err()
		}
		if time.Since(began) > maxSession {
			pause = minSession
		}
		s.broker.log.LogAttrs(ctx, slog.LevelError, "broker isn't announced: its journals may be served by others",
			slog.Any("error", err), slog.Duration("retry_in", pause))
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxSession)
	}
}

// once opens a lease, announces the broker, and keeps it until it is lost.
func (s *session) once(ctx context.Context) error {
	b := s.broker
	lease, err := allocator.OpenLease(ctx, allocator.LeaseConfig{
		Client: b.cfg.Etcd, Dir: b.cfg.Dir, TTL: b.cfg.LeaseTTL, Logger: b.log,
	})
	if err != nil {
		return err
	}
	value, err := proto.Marshal(b.cfg.spec(isClosed(b.leaving)))
	if err != nil {
		return fmt.Errorf("broker spec: %w", err)
	}
	a, err := allocator.Announce(ctx, allocator.AnnounceParams{
		Client: b.cfg.Etcd, Key: s.memberKey(), Value: string(value), Lease: lease.ID(), Logger: b.log,
	})
	if err == nil {
		b.lease.Store(lease)
		s.announced <- a
		if isClosed(b.leaving) {
			s.leave() // It may have begun to leave after the value was made.
		}
		notify(b.kicked) // The broker may be ready.
		err = s.keep(ctx, lease)
		b.lease.Store(nil)
		select {
		case <-s.announced:
		default: // leave has it
		}
	}
	if ctx.Err() == nil {
		return err
	}
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	return lease.Close(bye)
}

func (s *session) memberKey() string {
	id := s.broker.cfg.ID
	return allocator.MemberKey(s.broker.cfg.Prefix, id.GetZone(), id.GetSuffix())
}

// keep keeps the lease until it is lost. That the announcement is gone tells of it
// sooner than the lease itself.
func (s *session) keep(ctx context.Context, lease *allocator.Lease) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return lease.Keep(ctx) })
	g.Go(func() error {
		for seen := false; ; {
			changed := s.broker.keys.Changed()
			kv, ok := s.broker.keys.View().Get(s.memberKey())
			if seen && !ok {
				return allocator.ErrWithdrawn
			}
			seen = seen || ok && kv.Lease == int64(lease.ID())
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return g.Wait()
}

// leave tells etcd, if it can be reached soon, that the broker is leaving: it is
// given no more journals. The broker's leaving is closed already.
func (s *session) leave() {
	b := s.broker
	select {
	case a := <-s.announced:
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		value, err := proto.Marshal(b.cfg.spec(true))
		if err == nil {
			err = a.Update(ctx, string(value))
		}
		if err != nil {
			b.log.LogAttrs(ctx, slog.LevelWarn, "etcd not told that the broker is leaving", slog.Any("error", err))
		}
	default: // not announced now, and if it is again then as leaving
	}
}
