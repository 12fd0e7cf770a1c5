package consumer_test

import (
	"fmt"
	"testing"

	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// TestManySources: shards read many journals each, at the same time, which have content by then.
func TestManySources(t *testing.T) {
	const sources, each, many = 12, 8, 3
	var names []string
	for i := range sources {
		names = append(names, fmt.Sprintf("some/in-%02d", i))
	}
	w := newWorld(t, names...)
	var heads []int64
	for i, name := range names {
		heads = append(heads, w.publish(name, i*each, (i+1)*each))
	}
	v := newVault()
	h := w.host(&tally{v: v}, nil)
	for n := range many {
		id := fmt.Sprintf("shard-%d", n)
		h.Apply(consumertest.Spec(id, names...))
		h.AwaitCode(id, shards.ReplicaStatus_PRIMARY)
		for i, name := range names {
			readThrough(t, h, id, name, heads[i])
		}
		requireOnce(t, sources*each, v.of(id).seen)
	}
}
