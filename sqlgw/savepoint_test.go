package sqlgw

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/pgwire"
)

// requireCode: an error that clients are told of with this SQLSTATE.
func requireCode(t *testing.T, code string, err error) {
	t.Helper()
	var e *pgwire.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code)
}

// TestSavepointsShareSettings that weren't changed between them.
func TestSavepointsShareSettings(t *testing.T) {
	s := newSettings(&toldParameters{})
	tx := &transaction{block: true}
	require.NoError(t, s.set("a.b", strings.Repeat("x", maxSetting), false))
	for i := range 1000 {
		require.NoError(t, tx.save(strconv.Itoa(i), s.saved(), nil))
		require.Same(t, tx.saves[0].values, tx.saves[i].values)
	}
	require.Equal(t, s.values.bytes(), tx.saved)

	require.NoError(t, s.set("a.b", "y", false))
	require.NoError(t, tx.save("changed", s.saved(), nil))
	require.NoError(t, s.set("a.b", "z", true))
	back, err := tx.rollbackTo("changed")
	require.NoError(t, err)
	s.restore(back)
	require.Equal(t, "y", s.value("a.b"))
	s.endLocal()
	back, err = tx.rollbackTo("7")
	require.NoError(t, err)
	s.restore(back)
	require.Len(t, s.value("a.b"), maxSetting)
	require.Len(t, tx.saves, 8)
	require.NoError(t, tx.release("0"))
	require.Zero(t, tx.saved)
}

// TestSettingsAreBounded: those of a session, and what the savepoints of a transaction keep of them.
func TestSettingsAreBounded(t *testing.T) {
	s := newSettings(&toldParameters{})
	long := strings.Repeat("x", maxSetting)
	requireCode(t, "53400", s.set("a.b", long+"x", false))
	requireCode(t, "53400", s.set("a."+strings.Repeat("b", maxSettings), "", false))
	n := 0
	for ; s.set(fmt.Sprintf("a.b%d", n), long, n%2 == 0) == nil; n++ {
		require.Less(t, n, maxSettings/maxSetting)
	}
	require.NoError(t, s.set("a.b0", long, true), "in place of itself")
	require.NoError(t, s.set("application_name", "x", false))

	tx := &transaction{block: true}
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, maxSaved/maxSetting)
		require.NoError(t, s.set("a.b0", strconv.Itoa(i), true))
		err = tx.save(strconv.Itoa(i), s.saved(), nil)
	}
	requireCode(t, "53400", err)
	require.LessOrEqual(t, tx.saved, maxSaved)
	require.NoError(t, tx.release("1"))
	require.NoError(t, tx.save("again", s.saved(), nil))

	s.restore(newSettingValues())
	for i := range maxCustom {
		require.NoError(t, s.reset(fmt.Sprintf("a.b%d", i), false))
	}
	requireCode(t, "53400", s.reset("a.c", false))
	require.NoError(t, s.set("a.b7", "x", false))
}
