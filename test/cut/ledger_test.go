package cut

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestChecker: each rule is found to be broken.
func TestChecker(t *testing.T) {
	v := verdict{floor: 100, sent: 110, old: 20, seen: span{least: 10, most: 101}}
	some := func(least, most int64) span {
		return span{count: most - least + 1, least: least, most: most, sum: (least + most) * (most - least + 1) / 2}
	}
	for _, good := range []span{some(10, 101), some(15, 105), some(20, 109)} {
		require.NoError(t, v.check(good), "%+v", good)
	}
	require.NoError(t, verdict{}.check(span{}))
	require.NoError(t, verdict{floor: 100, old: 100}.check(span{}), "all of them are past their retention")
	require.Error(t, verdict{floor: 101, old: 100}.check(span{}))
	require.NoError(t, verdict{floor: 100, old: 102, seen: some(10, 101)}.check(span{}), "what the session saw is old as well")
	require.ErrorContains(t, verdict{floor: 100, old: 101, seen: some(10, 101)}.check(span{}), "had seen those up to 101")
	missing, twice, later := some(15, 105), some(15, 105), some(15, 105)
	missing.count--
	twice.count, twice.sum = twice.count+1, twice.sum+17
	later.least, later.count = 16, later.count-1
	swapped := some(15, 105)
	swapped.sum++
	for _, bad := range []span{missing, twice, later, swapped} {
		require.ErrorContains(t, v.check(bad), "a gap, or twins", "%+v", bad)
	}
	for want, bad := range map[string]span{
		"no row": {}, "up to 98": some(15, 98), "were sent": some(15, 110), "had seen 101": some(15, 100),
		"have to be kept": some(21, 105), "they began for the session at 10": some(9, 105),
	} {
		require.ErrorContains(t, v.check(bad), want, "%+v", bad)
	}
}

// TestLedger: rows may be gone once all that were sent with them and before are old.
func TestLedger(t *testing.T) {
	l, at := new(ledger), time.Unix(1000, 0)
	for i := range int64(4) {
		l.begin(3*(i+1), at.Add(time.Duration(i)*time.Second))
	}
	l.acknowledge(9)
	require.Equal(t, int64(9), l.acknowledged())
	for _, c := range []struct {
		oldest time.Duration
		old    int64
	}{{-time.Second, 0}, {0, 3}, {2500 * time.Millisecond, 9}, {time.Second, 9}, {time.Hour, 12}} {
		old, sent := l.allowed(at.Add(c.oldest))
		require.Equal(t, c.old, old, "%v", c.oldest)
		require.Equal(t, int64(12), sent)
	}
}
