package fragments_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
)

// TestExpired: no hole is made, the last stays, and so does what only brokers have.
func TestExpired(t *testing.T) {
	now := time.Unix(1000, 0)
	at := func(begin, end, mod int64) fragments.Fragment {
		return fragments.Fragment{Journal: "a/journal", Begin: begin, End: end, Store: "file:///", ModTime: mod}
	}
	list := []fragments.Fragment{at(0, 10, 1), at(0, 5, 1), at(10, 20, 2000), at(20, 30, 1), at(30, 40, 1)}
	require.Equal(t, []fragments.Fragment{list[0], list[1]}, fragments.Expired(list, now))
	require.Empty(t, fragments.Expired(list[:1], now))
	list[2].ModTime = 1000
	require.Len(t, fragments.Expired(list, now), 4)
	list[2].Store, list[2].ModTime = "", 0
	require.Equal(t, []fragments.Fragment{list[0], list[1]}, fragments.Expired(list, now))
}
