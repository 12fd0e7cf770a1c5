package sqlgw

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPacer: ten thousand journals that stand still are asked for a hundred a second at most, each of them in
// turn; one that moves is asked for every second; a few that stand still, hardly ever.
func TestPacer(t *testing.T) {
	for _, n := range []int{3, 10_000} {
		var p pacer
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("a/t.1/part-%05d", i)
		}
		start := time.Unix(1_700_000_000, 0)
		p.keep(names, start)
		asked := map[string]int{}
		for second := range 1000 {
			now := start.Add(time.Duration(second) * time.Second)
			due := p.due(now)
			require.LessOrEqual(t, len(due), pollsPerRound)
			for _, j := range due {
				asked[j]++
				head := int64(7)
				if j == names[0] {
					head = int64(second)
				}
				p.asked(j, head, now)
			}
		}
		require.Len(t, asked, n, "each is asked for")
		for j, times := range asked {
			if j != names[0] {
				require.LessOrEqual(t, times, 1000/16+8)
			} else {
				require.Greater(t, times, 700)
			}
		}
	}
}
