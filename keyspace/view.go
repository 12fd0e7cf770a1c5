package keyspace

import (
	"iter"
	"strings"

	"github.com/google/btree"
)

// KeyValue is a key of a view. It is shared and never changed.
type KeyValue struct {
	Key   string
	Value any    // what Decode made of Raw, or of the last value that it could decode
	Raw   []byte // the value in etcd
	Err   error  // why Raw doesn't decode; nil as a rule
	// CreateRevision, ModRevision and Lease are etcd's, also when Err isn't nil.
	CreateRevision, ModRevision, Lease int64
}

func less(a, b KeyValue) bool { return a.Key < b.Key }

// identity tells which etcd a view comes from.
type identity struct {
	cluster, member, term uint64
}

// View is what etcd held under the prefix at one revision. It never changes, and
// any number of goroutines may use it.
type View struct {
	tree     *btree.BTreeG[KeyValue]
	revision int64
	identity identity
	log      changeLog
}

// Revision of etcd at which the view is exact. It may be above the newest change
// of a key in it, since other keys are written too.
func (v *View) Revision() int64 { return v.revision }

// ClusterID of the etcd cluster.
func (v *View) ClusterID() uint64 { return v.identity.cluster }

// MemberID of the etcd member that told us of the revision.
func (v *View) MemberID() uint64 { return v.identity.member }

// RaftTerm of that member at that time.
func (v *View) RaftTerm() uint64 { return v.identity.term }

// Len is the number of keys.
func (v *View) Len() int { return v.tree.Len() }

// Get returns the key with exactly this name.
func (v *View) Get(key string) (KeyValue, bool) {
	return v.tree.Get(KeyValue{Key: key})
}

// ChangedSince returns the keys that were put or deleted after revision, in the order in
// which they were; one may be there several times. It is false if the view doesn't know
// any more: since that revision all keys were loaded anew, or too many were changed.
func (v *View) ChangedSince(revision int64) (iter.Seq[string], bool) {
	return v.log.after(revision)
}

// Ascend calls fn for each key that starts with prefix, in order of their bytes,
// until it returns false. The prefix is a whole one, with that of the KeySpace.
func (v *View) Ascend(prefix string, fn func(KeyValue) bool) {
	v.tree.AscendGreaterOrEqual(KeyValue{Key: prefix}, func(kv KeyValue) bool {
		return strings.HasPrefix(kv.Key, prefix) && fn(kv)
	})
}
