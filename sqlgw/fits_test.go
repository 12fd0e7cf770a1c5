package sqlgw

import (
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
)

// TestTightened: rows stay rows of a table unless a column of which they may have no value takes no NULL any more.
func TestTightened(t *testing.T) {
	was := catalog.Table{Columns: []catalog.Column{{ID: 1, Name: "a", NotNull: true}, {ID: 2, Name: "b"}}}
	for name, x := range map[string]struct {
		now  []catalog.Column
		want string
	}{
		"the same":                       {now: was.Columns},
		"a column was dropped":           {now: was.Columns[:1]},
		"one was loosened and renamed":   {now: []catalog.Column{{ID: 1, Name: "x"}, {ID: 2, Name: "y"}}},
		"one was tightened":              {now: []catalog.Column{{ID: 1, Name: "a"}, {ID: 2, Name: "z", NotNull: true}}, want: "z"},
		"one was added":                  {now: []catalog.Column{{ID: 1, Name: "a"}, {ID: 3, Name: "c"}}},
		"one was added that has a value": {now: []catalog.Column{{ID: 3, Name: "c", NotNull: true, Missing: "1"}}},
		"one was added that has none":    {now: []catalog.Column{{ID: 3, Name: "c", NotNull: true}}, want: "c"},
	} {
		column, tight := tightened(was, catalog.Table{Columns: x.now})
		require.Equal(t, x.want, column, name)
		require.Equal(t, x.want != "", tight, name)
	}
}
