package consumer

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
	// farewell bounds what a stopping host tells etcd: that it is leaving, and that its lease has ended.
	farewell = 2 * time.Second
	// minSession, maxSession bound the pause before another lease is tried.
	minSession, maxSession = 100 * time.Millisecond, 5 * time.Second
)

// session keeps the host announced. A lease that was lost is replaced by another: the shards are assigned anew.
type session struct {
	host *Host
	// announced has the present announcement, unless there is none.
	announced chan *allocator.Announcement
}

func newSession(h *Host) *session {
	return &session{host: h, announced: make(chan *allocator.Announcement, 1)}
}

// run until ctx is done.
func (s *session) run(ctx context.Context) error {
	pause := minSession
	for {
		began := time.Now()
		err := s.once(ctx)
		if ctx.Err() != nil {
			if err != nil {
				s.host.log.LogAttrs(ctx, slog.LevelWarn, "lease not ended: it runs out by itself", slog.Any("error", err))
			}
			return ctx.Err()
		}
		if time.Since(began) > maxSession {
			pause = minSession
		}
		s.host.log.LogAttrs(ctx, slog.LevelError, "consumer isn't announced: its shards may be run by others",
			slog.Any("error", err), slog.Duration("retry_in", pause))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause = min(2*pause, maxSession)
	}
}

// once opens a lease, announces the host, and keeps it until it is lost.
func (s *session) once(ctx context.Context) error {
	h := s.host
	lease, err := allocator.OpenLease(ctx, allocator.LeaseConfig{Client: h.cfg.Etcd, Dir: h.cfg.Dir, TTL: h.cfg.LeaseTTL, Logger: h.log})
	if err != nil {
		return err
	}
	value, err := proto.Marshal(h.cfg.spec(isClosed(h.leaving)))
	if err != nil {
		return fmt.Errorf("consumer spec: %w", err)
	}
	a, err := allocator.Announce(ctx, allocator.AnnounceParams{
		Client: h.cfg.Etcd, Key: s.memberKey(), Value: string(value), Lease: lease.ID(), Logger: h.log,
	})
	if err == nil {
		h.lease.Store(lease)
		s.announced <- a
		if isClosed(h.leaving) {
			s.leave() // It may have begun to leave after the value was made.
		}
		err = s.keep(ctx, lease)
		h.lease.Store(nil)
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
	id := s.host.cfg.ID
	return allocator.MemberKey(s.host.cfg.Prefix, id.GetZone(), id.GetSuffix())
}

// keep keeps the lease until it is lost. That the announcement is gone tells of it sooner than the lease itself.
func (s *session) keep(ctx context.Context, lease *allocator.Lease) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return lease.Keep(ctx) })
	g.Go(func() error {
		for seen := false; ; {
			changed := s.host.keys.Changed()
			kv, ok := s.host.keys.View().Get(s.memberKey())
			if seen && !ok {
				return allocator.ErrWithdrawn
			}
			if seen = seen || ok && kv.Lease == int64(lease.ID()); seen {
				s.host.announced()
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return g.Wait()
}

// leave tells etcd, if it can be reached soon, that the host is leaving: it is given no more shards. The host's leaving
// is closed already.
func (s *session) leave() {
	h := s.host
	select {
	case a := <-s.announced:
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		value, err := proto.Marshal(h.cfg.spec(true))
		if err == nil {
			err = a.Update(ctx, string(value))
		}
		if err != nil {
			h.log.LogAttrs(ctx, slog.LevelWarn, "etcd not told that the consumer is leaving", slog.Any("error", err))
		}
	default: // not announced now, and if it is again then as leaving
	}
}
