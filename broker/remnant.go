package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	// remnantsAtOnce is how many remnants are worked on at a time.
	remnantsAtOnce = 4
	// minBackup, maxBackup bound how long a fragment that others will store is left to them.
	minBackup, maxBackup = 2 * time.Minute, 3 * time.Minute
	// remnantRetry is the pause before a remnant that couldn't be worked on is tried again.
	remnantRetry = time.Minute
)

// remnant is the spool of a journal that isn't assigned to this broker any more. What it holds
// may be nowhere else: so it follows the journal's epochs as a member would after a restart, stores
// what is agreed, and goes once it has nothing that anybody could miss.
type remnant struct {
	broker *Broker
	id     spool.ID
	log    *slog.Logger
	done   chan struct{} // closed once the spool is closed
	gone   bool          // the spool is removed; set before done is closed
	cancel context.CancelFunc
}

// run until ctx is done, or the spool is removed.
func (m *remnant) run(ctx context.Context, slots chan struct{}) error {
	defer close(m.done)
	if err := m.awaitLoss(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		now := m.broker.roster.Load()
		wait, err := m.work(ctx, now)
		<-slots
		if m.gone {
			notify(m.broker.kicked) // The broker may be drained.
			return nil
		}
		if err != nil && ctx.Err() == nil {
			m.log.LogAttrs(ctx, slog.LevelWarn, "remnant of a journal not stored", slog.Any("error", err), slog.Duration("retry_in", wait))
		}
		if err := m.pause(ctx, now, wait); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// awaitLoss waits until an epoch without this broker began, or for some time: after a restart a broker
// is as a rule given again what it had.
func (m *remnant) awaitLoss(ctx context.Context) error {
	patience := time.NewTimer(m.broker.cfg.LeaseTTL * 3 / 4)
	defer patience.Stop()
	for {
		now := m.broker.roster.Load()
		if !m.mayComeBack(now) {
			return nil
		}
		select {
		case <-now.next:
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mayComeBack tells whether the journal is likely to be assigned to this broker again: it is a member of the
// last epoch.
func (m *remnant) mayComeBack(now *roster) bool {
	j, ok := now.journal(m.id.Journal)
	if !ok {
		return false
	}
	list, _ := now.epochs(j)
	last, ok := list.Last()
	return !ok || last.Has(m.broker.env.member)
}

// pause for a time, and at least until the journal's epochs or spec can have changed, if the time is 0.
func (m *remnant) pause(ctx context.Context, now *roster, d time.Duration) error {
	if d > 0 {
		return m.pauseFor(ctx, d)
	}
	j, _ := now.journal(m.id.Journal)
	_, revision := now.epochs(j)
	for {
		select {
		case <-now.next:
		case <-ctx.Done():
			return ctx.Err()
		}
		now = m.broker.roster.Load()
		if next, ok := now.journal(m.id.Journal); !ok || next.modRevision != j.modRevision {
			return nil
		} else if _, r := now.epochs(next); r != revision {
			return nil
		}
	}
}

// pauseFor a time, or until the broker begins to leave: other stores can be taken then.
func (m *remnant) pauseFor(ctx context.Context, d time.Duration) error {
	if isClosed(m.broker.leaving) {
		return wait(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-m.broker.leaving:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// work opens the spool and does what can be done. It returns when to try again; 0 is when epochs or
// spec have changed.
func (m *remnant) work(ctx context.Context, now *roster) (time.Duration, error) {
	j, ok := now.journal(m.id.Journal)
	if !ok {
		return 0, nil // It is about to be discarded.
	}
	s, err := m.broker.env.spools.Journal(ctx, m.id, spool.JournalOptions{Codec: j.spec.GetFragment().GetCompressionCodec()})
	if err != nil {
		return remnantRetry, err
	}
	left, err := m.settle(ctx, now, j, s)
	if closeErr := s.Close(); closeErr != nil {
		return remnantRetry, errors.Join(err, closeErr)
	}
	switch {
	case err != nil:
		return remnantRetry, err
	case left:
		return 0, nil
	}
	if err := m.broker.env.spools.Discard(m.id); err != nil {
		return remnantRetry, err
	}
	m.broker.env.promises.forget(m.id)
	m.log.LogAttrs(ctx, slog.LevelInfo, "spool removed: all that it held is stored")
	m.gone = true
	return 0, nil
}

// settle follows the epochs and stores what is agreed. It tells whether anything is left until the epochs or
// the spec change.
func (m *remnant) settle(ctx context.Context, now *roster, j journal, s *spool.Journal) (bool, error) {
	list, revision := now.epochs(j)
	state := s.State()
	keep, superseded := list.Keep(state.Epoch, state.Watermark)
	if !superseded {
		return true, m.closeEpoch(ctx, now, list, revision, s)
	}
	if state.End > state.Begin {
		if err := s.Cut(keep); err != nil {
			return true, fmt.Errorf("cut at offset %d: %w", keep, err)
		}
	}
	if len(j.spec.GetFragment().GetStores()) == 0 {
		return false, nil // Its members have all that there will ever be.
	}
	for _, c := range s.Completed() {
		if _, err := m.broker.env.persister.Persist(ctx, j.spec, c); err != nil {
			return true, fmt.Errorf("store %s: %w", c.ContentName(), err)
		}
		if err := s.Drop(c.Fragment); err != nil {
			return true, err
		}
	}
	return false, nil
}

// closeEpoch writes down where the journal's last epoch ends, if this broker knows that and no member of
// it holds the journal any more (R6): else nobody could go on.
func (m *remnant) closeEpoch(ctx context.Context, now *roster, list epoch.List, revision int64, s *spool.Journal) error {
	last, ok := list.Last()
	state := s.State()
	if !ok || last.Closed() || state.Recovery.Suspect {
		return nil
	}
	for _, a := range now.assignments(m.id.Journal) {
		for _, member := range last.Members {
			if member.Broker == brokerOf(processID(a.id.Member)) {
				return nil
			}
		}
	}
	closing, err := list.Close(epoch.Report{
		Member: m.broker.env.member, Epoch: state.Epoch, End: state.End, Registers: state.Registers,
	})
	if missing := new(epoch.MissingError); errors.As(err, &missing) {
		return nil // Others have to say.
	}
	if future := new(epoch.FutureError); errors.As(err, &future) {
		if known, _, unread := m.broker.epochsRevision(ctx, m.id.Journal); unread == nil && known != revision {
			return nil // They are about to be seen.
		}
	}
	if err != nil {
		return err
	}
	value, err := list.Append(closing, noCover).Encode(m.id.CreateRevision)
	if err != nil {
		return err
	}
	announced, ok := now.view.Get(allocator.MemberKey(m.broker.cfg.Prefix, m.broker.cfg.ID.GetZone(), m.broker.cfg.ID.GetSuffix()))
	if !ok {
		return errors.New("this broker isn't announced in etcd")
	}
	// The write may arrive late: when the journal was assigned here again, went on and was given away, all in the
	// same epoch. This process doesn't go on in it; and the write of another process is refused.
	m.broker.env.promises.raise(m.id, closing.Number)
	key := epochsKey(m.broker.cfg.Prefix, m.id.Journal)
	compares := []clientv3.Cmp{
		clientv3.Compare(clientv3.ModRevision(key), "=", revision),
		clientv3.Compare(clientv3.CreateRevision(allocator.ItemKey(m.broker.cfg.Prefix, m.id.Journal)), "=", m.id.CreateRevision),
		clientv3.Compare(clientv3.CreateRevision(announced.Key), "=", announced.CreateRevision),
	}
	for _, member := range last.Members {
		// A member that holds the journal is about to form an epoch, and to say itself where this one ends.
		slot := allocator.AssignmentKey(m.broker.cfg.Prefix, m.id.Journal, member.Zone, member.Suffix, 0)
		compares = append(compares, clientv3.Compare(clientv3.CreateRevision(strings.TrimSuffix(slot, "0")), "=", 0).WithPrefix())
	}
	txn, err := m.broker.cfg.Etcd.Txn(ctx).If(compares...).Then(clientv3.OpPut(key, string(value))).Commit()
	if err != nil {
		return fmt.Errorf("close epoch %d: %w", last.Number, err)
	}
	if txn.Succeeded {
		m.log.LogAttrs(ctx, slog.LevelInfo, "epoch closed, as none of its members holds the journal any more",
			slog.Int64("epoch", last.Number), slog.Int64("end", closing.Start))
	}
	return nil
}

// backupDelay is how long a fragment is left to who stores it first.
func backupDelay() time.Duration { return minBackup + rand.N(maxBackup-minBackup) }

// holdsStores tells whether a journal's content is ever stored.
func holdsStores(spec *protocol.JournalSpec) bool { return len(spec.GetFragment().GetStores()) > 0 }
