package keyspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// pageKeys is how many keys one request of a load asks for.
const pageKeys = 4096

// KeySpace is a mirror of a prefix of etcd. Make it with Load, keep it current
// with Watch, and read it with View.
type KeySpace struct {
	config Config
	logger *slog.Logger

	// mirror holds the one mirror; the call of Watch that takes it owns it.
	mirror chan *mirror
	// wanted wakes the Watch when somebody begins to wait for a revision.
	wanted chan struct{}

	view atomic.Pointer[View]

	mu sync.Mutex
	// changed is closed and replaced when a view has other keys, advanced whenever
	// there is a new view.
	changed, advanced chan struct{}
	// waiting counts the calls of WaitForRevision by the revision they wait for.
	waiting map[int64]int
}

// Load reads all keys under the prefix at one revision. An etcd that is too old is refused, by a *VersionError.
func Load(ctx context.Context, c Config) (*KeySpace, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	k := &KeySpace{
		config:   c,
		logger:   c.Logger.With(slog.String("prefix", c.Prefix)),
		mirror:   make(chan *mirror, 1),
		wanted:   make(chan struct{}, 1),
		changed:  make(chan struct{}),
		advanced: make(chan struct{}),
		waiting:  make(map[int64]int),
	}
	m := newMirror(c)
	if err := k.load(ctx, m); err != nil {
		return nil, err
	}
	if err := checkVersion(ctx, c.Client); err != nil {
		return nil, err
	}
	k.publish(m)
	k.mirror <- m
	return k, nil
}

// load brings m to the newest revision of etcd.
func (k *KeySpace) load(ctx context.Context, m *mirror) error {
	for {
		kvs, revision, err := k.readAll(ctx, m)
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // between two pages: the next attempt has a newer revision
		}
		if err != nil {
			return fmt.Errorf("keyspace: load %s: %w", k.config.Prefix, err)
		}
		if err := m.reset(kvs, revision); err != nil {
			return fmt.Errorf("keyspace: load %s: %w", k.config.Prefix, err)
		}
		return nil
	}
}

// readAll returns the keys under the prefix, page by page at the revision of the first.
func (k *KeySpace) readAll(ctx context.Context, m *mirror) ([]*mvccpb.KeyValue, int64, error) {
	var kvs []*mvccpb.KeyValue
	begin, end := k.config.Prefix+"/", clientv3.GetPrefixRangeEnd(k.config.Prefix+"/")
	revision := int64(0)
	for {
		r, err := k.config.Client.Get(ctx, begin, clientv3.WithRange(end), clientv3.WithRev(revision), clientv3.WithLimit(pageKeys))
		if err != nil {
			return nil, 0, err
		}
		if revision == 0 {
			revision = r.Header.GetRevision()
		}
		if err := m.identify(r.Header); err != nil {
			return nil, 0, err
		}
		kvs = append(kvs, r.Kvs...)
		if !r.More {
			return kvs, revision, nil
		}
		begin = string(r.Kvs[len(r.Kvs)-1].GetKey()) + "\x00"
	}
}

// View returns the newest snapshot.
func (k *KeySpace) View() *View { return k.view.Load() }

// Changed returns a channel that is closed when a view with other keys than those
// of the present one is published. Take it before the view that it is about.
func (k *KeySpace) Changed() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changed
}

// WaitForRevision returns when the view is at revision or beyond, or with the
// error of ctx. The revision may be one at which only keys outside the prefix
// were written. Somebody has to run Watch, and the revision has to exist.
func (k *KeySpace) WaitForRevision(ctx context.Context, revision int64) error {
	if k.View().Revision() >= revision {
		return nil
	}
	k.mu.Lock()
	k.waiting[revision]++
	k.mu.Unlock()
	defer k.stopWaiting(revision)
	for {
		k.mu.Lock()
		advanced := k.advanced
		k.mu.Unlock()
		if k.View().Revision() >= revision {
			return nil
		}
		select {
		case k.wanted <- struct{}{}:
		default: // the Watch will look anyhow
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return fmt.Errorf("keyspace: %s: wait for revision %d (at %d): %w",
				k.config.Prefix, revision, k.View().Revision(), context.Cause(ctx))
		}
	}
}

func (k *KeySpace) stopWaiting(revision int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting[revision]--; k.waiting[revision] == 0 {
		delete(k.waiting, revision)
	}
}

// awaited tells whether somebody waits for a revision in (view, at], which a new
// view would satisfy, and for one beyond, which etcd must tell of.
func (k *KeySpace) awaited(at int64) (bool, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	reached, beyond := false, false
	for revision := range k.waiting {
		reached = reached || revision <= at
		beyond = beyond || revision > at
	}
	return reached, beyond
}

// publish makes the mirror's state the newest view.
func (k *KeySpace) publish(m *mirror) {
	changed := m.changed
	k.view.Store(m.view())
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.advanced)
	k.advanced = make(chan struct{})
	if changed {
		close(k.changed)
		k.changed = make(chan struct{})
	}
}
