package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// announceRetry is how long an announcement waits for another lease's key at most
// before it looks again, if retry doesn't say otherwise.
const announceRetry = 10 * time.Second

// ErrWithdrawn says that the key of an announcement is gone, or isn't ours any more.
var ErrWithdrawn = errors.New("announcement was withdrawn")

// AnnounceParams are what Announce needs.
type AnnounceParams struct {
	Client *clientv3.Client
	Key    string // MemberKey of this process
	Value  string
	Lease  clientv3.LeaseID
	Logger *slog.Logger

	retry time.Duration // in place of announceRetry, for tests
}

// Announcement is the key of a member that this process holds under its lease.
type Announcement struct {
	params   AnnounceParams
	revision chan int64 // holds the key's mod revision; who takes it may write
}

// Announce makes the key of a member, under its lease. While another lease has the
// key it waits: a process that was restarted without revoking its lease waits for
// itself. A key that is under our lease already is taken over.
func Announce(ctx context.Context, p AnnounceParams) (*Announcement, error) {
	for {
		revision, holder, err := p.put(ctx)
		if err != nil {
			return nil, fmt.Errorf("allocator: announce %s: %w", p.Key, err)
		}
		if revision != 0 {
			a := &Announcement{params: p, revision: make(chan int64, 1)}
			a.revision <- revision
			return a, nil
		}
		p.Logger.LogAttrs(ctx, slog.LevelWarn, "another process holds our member key; waiting",
			slog.String("key", p.Key), slog.String("lease", formatLease(holder)))
		if err := p.awaitGone(ctx); err != nil {
			return nil, fmt.Errorf("allocator: announce %s: held by lease %s: %w", p.Key, formatLease(holder), err)
		}
	}
}

// put writes the key if nobody or our lease has it, and returns its mod revision;
// otherwise that is 0 and the holder's lease is returned.
func (p AnnounceParams) put(ctx context.Context) (int64, clientv3.LeaseID, error) {
	write := clientv3.OpPut(p.Key, p.Value, clientv3.WithLease(p.Lease))
	r, err := p.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(p.Key), "=", 0)).
		Then(write).
		Else(clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.LeaseValue(p.Key), "=", p.Lease)},
			[]clientv3.Op{write}, []clientv3.Op{clientv3.OpGet(p.Key)})).
		Commit()
	if err != nil {
		return 0, 0, err
	}
	if r.Succeeded {
		return r.Header.GetRevision(), 0, nil
	}
	ours := r.Responses[0].GetResponseTxn()
	if ours.GetSucceeded() {
		return r.Header.GetRevision(), 0, nil
	}
	holder := ours.GetResponses()[0].GetResponseRange().GetKvs()[0]
	return 0, clientv3.LeaseID(holder.GetLease()), nil
}

// awaitGone returns when the key is deleted, and after a while anyhow.
func (p AnnounceParams) awaitGone(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, cmp.Or(p.retry, announceRetry))
	defer cancel()
	r, err := p.Client.Get(ctx, p.Key)
	if err != nil || len(r.Kvs) == 0 {
		return err
	}
	for w := range p.Client.Watch(wait, p.Key, clientv3.WithRev(r.Header.GetRevision()+1), clientv3.WithFilterPut()) {
		if w.Err() != nil || len(w.Events) > 0 {
			break // look again
		}
	}
	return context.Cause(ctx)
}

// Update replaces the value, as to say that the member is leaving. It fails with
// ErrWithdrawn if the key isn't ours any more.
func (a *Announcement) Update(ctx context.Context, value string) error {
	var revision int64
	select {
	case revision = <-a.revision:
	case <-ctx.Done():
		return fmt.Errorf("allocator: announce %s: %w", a.params.Key, context.Cause(ctx))
	}
	next, err := a.params.replace(ctx, value, revision)
	a.revision <- next
	if err != nil {
		return fmt.Errorf("allocator: announce %s: %w", a.params.Key, err)
	}
	return nil
}

// replace writes value if the key is at revision and ours, and returns its new revision.
func (p AnnounceParams) replace(ctx context.Context, value string, revision int64) (int64, error) {
	key := p.Key
	r, err := p.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revision), clientv3.Compare(clientv3.LeaseValue(key), "=", p.Lease)).
		Then(clientv3.OpPut(key, value, clientv3.WithLease(p.Lease))).
		Else(clientv3.OpGet(key)).
		Commit()
	if err != nil {
		return revision, err
	}
	if r.Succeeded {
		return r.Header.GetRevision(), nil
	}
	// Only we write under our lease: another revision is an earlier Update of ours
	// whose answer was lost.
	for _, kv := range r.Responses[0].GetResponseRange().GetKvs() {
		if clientv3.LeaseID(kv.GetLease()) == p.Lease && kv.GetModRevision() > revision {
			return p.replace(ctx, value, kv.GetModRevision())
		}
	}
	return revision, ErrWithdrawn
}
