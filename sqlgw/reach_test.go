package sqlgw

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
)

// storedAt is a listing of fragments: offsets at which they begin and end, and when they were stored; 0 is not yet.
func storedAt(of ...[3]int64) []*protocol.Fragment {
	var out []*protocol.Fragment
	for _, x := range of {
		f := &protocol.Fragment{Journal: "a/b", Begin: x[0], End: x[1]}
		if x[2] > 0 {
			f.BackingStore, f.ModTime = "file:///", x[2]
		}
		out = append(out, f)
	}
	return out
}

// TestKeptFrom: a journal begins behind what is old; what a member has and another doesn't list isn't old.
func TestKeptFrom(t *testing.T) {
	now := time.Unix(100, 0)
	for _, c := range []struct {
		list []*protocol.Fragment
		from int64
	}{
		{nil, 0},
		{storedAt([3]int64{0, 10, 150}, [3]int64{10, 20, 0}), 0},
		{storedAt([3]int64{0, 10, 50}), 0},
		{storedAt([3]int64{0, 10, 50}, [3]int64{10, 20, 0}), 10},
		{storedAt([3]int64{0, 10, 50}, [3]int64{10, 20, 60}, [3]int64{35, 50, 0}), 20},
		{storedAt([3]int64{0, 10, 50}, [3]int64{10, 20, 60}, [3]int64{15, 50, 0}), 15},
		{storedAt([3]int64{0, 10, 50}, [3]int64{0, 20, 0}), 0},
	} {
		require.Equal(t, c.from, keptFrom(c.list, now), "%v", c.list)
	}
}

// TestReach: a statement lists a journal once, and a transaction reads it from one place on, or fails.
func TestReach(t *testing.T) {
	asked := 0
	brokers := listing{begin: 0, fragments: storedAt([3]int64{0, 10, 50}, [3]int64{10, 20, 60}, [3]int64{20, 30, 0})}
	all := func(context.Context, string, int64) (listing, error) {
		asked++
		return brokers, nil
	}
	young := func(context.Context, string, int64) (listing, error) {
		asked++
		return brokers.from(keptFrom(brokers.fragments, time.Unix(55, 0))), nil
	}
	transaction := new(fixedBegins)
	first := &reach{all: all, young: young, fixed: transaction}
	l, err := first.list(t.Context(), "a/b", 30)
	require.NoError(t, err)
	require.EqualValues(t, 10, l.begin)
	require.Len(t, l.fragments, 2)

	brokers = listing{begin: 10, fragments: storedAt([3]int64{10, 20, 50}, [3]int64{20, 30, 70}, [3]int64{30, 40, 0})}
	again, err := first.list(t.Context(), "a/b", 30)
	require.NoError(t, err)
	require.Equal(t, l, again)
	require.Equal(t, 1, asked)

	second := &reach{all: all, young: young, fixed: transaction}
	l, err = second.list(t.Context(), "a/b", 30)
	require.NoError(t, err)
	require.EqualValues(t, 10, l.begin, "though it is old by now")
	alone := &reach{all: all, young: young, fixed: new(fixedBegins)}
	l, err = alone.list(t.Context(), "a/b", 30)
	require.NoError(t, err)
	require.EqualValues(t, 20, l.begin)

	brokers = brokers.from(20)
	_, err = (&reach{all: all, young: young, fixed: transaction}).list(t.Context(), "a/b", 30)
	var e *pgwire.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "72000", e.Code)
}

// TestRetentionOf: what asks for it, but for recovery logs.
func TestRetentionOf(t *testing.T) {
	spec := func(labels ...string) *protocol.JournalSpec {
		s := &protocol.JournalSpec{Fragment: &protocol.JournalSpec_Fragment{Retention: durationpb.New(time.Hour)}}
		s.Labels = protocol.MustLabelSet(labels...)
		return s
	}
	require.Zero(t, retentionOf(spec()))
	require.Zero(t, retentionOf(spec(labelRetention, retentionEnforced, "content-type", recoveryLog)))
	require.Equal(t, time.Hour, retentionOf(spec(labelRetention, retentionEnforced, "content-type", "application/x-ndjson")))
}
