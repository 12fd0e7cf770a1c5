package cut

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestChecker: each rule is found to be broken.
func TestChecker(t *testing.T) {
	v := verdict{floor: 100, sent: 110, seen: span{most: 101}}
	whole := func(most int64) span { return span{count: most + 1, most: most, sum: most * (most + 1) / 2} }
	for _, good := range []span{whole(101), whole(105), whole(109)} {
		require.NoError(t, v.check(good), "%+v", good)
	}
	require.NoError(t, verdict{}.check(span{}))
	missing, twice, later := whole(105), whole(105), whole(105)
	missing.count--
	twice.count, twice.sum = twice.count+1, twice.sum+7
	later.least, later.count = 1, later.count-1
	swapped := whole(105)
	swapped.sum++
	for _, bad := range []span{missing, twice, later, swapped} {
		require.ErrorContains(t, v.check(bad), "a gap, or twins", "%+v", bad)
	}
	for want, bad := range map[string]span{"no row": {}, "up to 98": whole(98), "were sent": whole(110), "had seen 101": whole(100)} {
		require.ErrorContains(t, v.check(bad), want, "%+v", bad)
	}
}
