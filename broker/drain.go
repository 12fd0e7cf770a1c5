package broker

import (
	"context"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/keyspace"
)

// drainCheck is how often a draining broker looks whether it still has its lease.
const drainCheck = time.Second

// drain serves on, once etcd was told that the broker is leaving, until others have what they
// can take of its journals and what only it has is stored; for Config.Drain at most, and while
// none of what serves has failed. What is still there then stays in the spools, as after any stop.
// A store that permits nothing would hold it up for nothing: from now on the next one is taken.
func (b *Broker) drain(serving ...context.Context) {
	if b.cfg.Drain == 0 {
		return
	}
	b.env.persister.Exit()
	ctx, cancel := context.WithTimeout(context.Background(), b.cfg.Drain)
	defer cancel()
	for _, s := range serving {
		defer context.AfterFunc(s, cancel)()
	}
	began := time.Now()
	b.catchUp(ctx)
	held, unstored := b.handOver(ctx)
	took := slog.Duration("took", time.Since(began))
	if held+unstored > 0 {
		b.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelWarn, "broker isn't drained: it leaves what it has in its spools",
			slog.Int("journals", held), slog.Int("unstored", unstored), took)
		return
	}
	b.log.LogAttrs(ctx, slog.LevelInfo, "broker is drained", took)
}

// catchUp waits until what is in etcd now is known here: who has just come may take what we have.
func (b *Broker) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	r, err := b.cfg.Etcd.Get(ctx, b.cfg.Prefix, clientv3.WithCountOnly())
	if err == nil {
		_, err = b.rosterAt(ctx, r.Header.GetRevision())
	}
	if err != nil {
		b.log.LogAttrs(ctx, slog.LevelWarn, "who may take over is judged by what was known", slog.Any("error", err))
	}
}

// handOver waits until others have what they can take and the rest is stored, and returns how much
// isn't if that takes too long. Without a lease nothing can be handed over any more.
func (b *Broker) handOver(ctx context.Context) (held, unstored int) { //nolint:nonamedreturns // which is which
	tick := time.NewTicker(drainCheck)
	defer tick.Stop()
	for {
		now := b.roster.Load()
		held, unstored = now.handsOver(memberID(b.cfg.ID)), b.unstored(now)
		if held+unstored == 0 || !b.leaseIsValid() {
			return held, unstored
		}
		select {
		case <-now.next:
		case <-tick.C:
		case <-ctx.Done():
			return held, unstored
		}
	}
}

// handsOver counts the journals of a member that others can take from it: so many of them stay as
// the journal wants.
func (d directory) handsOver(self allocator.MemberID) int {
	others := d.staying(self)
	n := 0
	d.assigned(self, func(name string, _ []assignment) {
		if j, ok := d.journal(name); !ok || others >= max(j.DesiredReplication(), 1) {
			n++ // One that is deleted is about to be taken from everyone.
		}
	})
	return n
}

// staying counts the other members that take journals and aren't leaving.
func (d directory) staying(self allocator.MemberID) int {
	n := 0
	d.view.Ascend(allocator.MembersPrefix(d.prefix), func(kv keyspace.KeyValue) bool {
		if m, ok := kv.Value.(allocator.Member); ok && m.ID != self && !m.Value.Exiting() && m.Value.ItemLimit() > 0 {
			n++
		}
		return true
	})
	return n
}

// unstored counts the spools of journals that others have now, and which therefore go once
// all of them is stored.
func (b *Broker) unstored(now *roster) int {
	n := 0
	for _, id := range b.env.spools.Journals() {
		j, ok := now.journal(id.Journal)
		if ok && j.createRevision == id.CreateRevision && now.entryOf(id) == nil && len(now.assignments(id.Journal)) > 0 && holdsStores(j.spec) {
			n++
		}
	}
	return n
}
