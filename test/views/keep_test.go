package views

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatIsKeptIsAskedFor holds that a view whose rows can't be kept is refused when it is made, and not found out by whoever would keep it.
func TestWhatIsKeptIsAskedFor(t *testing.T) {
	w := made(t)
	c := w.connect()
	w.run(c, "create table spans (k int8, i interval, at timestamp)", "select avg(i), avg(at - at) from spans")
	const kept = "what a materialized view has to keep of this query is not supported: "
	require.Contains(t, w.fails(c, "0A000", "create materialized view x as select k, avg(i) from spans group by k"), kept+"No function matches")
	require.Contains(t, w.fails(c, "0A000", "create materialized view x as select max(i) from spans having avg(i) > interval '1 day'"), kept)
	require.Contains(t, w.fails(c, "0A000", "create materialized view x as select k, avg(at - at) from spans group by k"), "a sum or average of interval")
	require.Contains(t, w.fails(c, "0A000", "create materialized view x as select count(*) from spans group by spans"), "which can't be returned")
	w.run(c, "create materialized view x as select i, avg(extract(epoch from i)), max(i), avg(k) as mean from spans group by i")
}
