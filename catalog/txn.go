package catalog

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func absent(key string) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
}

func unchanged(key string, modRevision int64) clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(key), "=", modRevision)
}

// state is the counter and some keys, all read at once.
type state struct {
	keys    keys
	kvs     []*mvccpb.KeyValue // nil where the key isn't there
	nextID  int64
	counter int64 // its mod revision
}

// first is the entry of a key that was asked for, nil if it isn't there.
func first(r *etcdserverpb.ResponseOp) *mvccpb.KeyValue {
	if kvs := r.GetResponseRange().GetKvs(); len(kvs) > 0 {
		return kvs[0]
	}
	return nil
}

// read reads the counter and the keys at one revision.
func (c *Catalog) read(ctx context.Context, wanted ...string) (state, error) {
	ops := []clientv3.Op{clientv3.OpGet(c.keys.counter())}
	for _, key := range wanted {
		ops = append(ops, clientv3.OpGet(key))
	}
	r, err := c.etcd.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return state{}, err
	}
	s := state{keys: c.keys}
	for i, x := range r.Responses {
		kv := first(x)
		if i > 0 {
			s.kvs = append(s.kvs, kv)
			continue
		}
		if kv == nil {
			return state{}, errors.New("the counter of ids is missing")
		}
		e, err := decodeEntry[counterEntry](kv.GetValue())
		if err != nil {
			return state{}, fmt.Errorf("the counter of ids: %w", err)
		}
		s.nextID, s.counter = max(e.Next, firstID), kv.GetModRevision()
	}
	return s, nil
}

// compares holds that nobody else has taken the id.
func (s state) compares() []clientv3.Cmp {
	return []clientv3.Cmp{unchanged(s.keys.counter(), s.counter)}
}

// take takes the id from the counter.
func (s state) take() clientv3.Op { return s.takeUpTo(s.nextID) }

// takeUpTo takes all ids up to one from the counter.
func (s state) takeUpTo(last int64) clientv3.Op {
	return clientv3.OpPut(s.keys.counter(), encode(counterEntry{Format: entryFormat, Next: last + 1}))
}

// commit makes a transaction, and tells whether its compares held.
func (c *Catalog) commit(ctx context.Context, compares []clientv3.Cmp, ops ...clientv3.Op) (bool, error) {
	r, err := c.etcd.Txn(ctx).If(compares...).Then(ops...).Commit()
	if err != nil {
		return false, err
	}
	return r.Succeeded, nil
}

// unknown is the error of a change whose transaction failed in a way that doesn't
// tell whether it was made.
func (c *Catalog) unknown(kind, name string, err error) error {
	return &Error{Code: ErrUnknownOutcome, Kind: kind, Name: name, Err: err}
}
