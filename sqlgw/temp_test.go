package sqlgw

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
)

// TestDiscardedTempsAreCounted until the transaction ends: its rollback brings them back.
func TestDiscardedTempsAreCounted(t *testing.T) {
	s := &session{gateway: &Gateway{}}
	was := tempTables{"t": {Table: catalog.Table{Name: "t"}, bytes: 1000}}
	s.temps.tables = was
	require.NoError(t, s.chargeTemp(1000))
	for range 3 {
		s.forgetTemps()
		require.Empty(t, s.temps.tables)
		s.endTemps(was, false)
		require.Equal(t, []int64{1000, 1000}, []int64{s.temps.used, s.gateway.temps.used.Load()}, "they are there")
	}
	s.forgetTemps()
	s.endTemps(was, true)
	require.Equal(t, []int64{0, 0}, []int64{s.temps.used, s.gateway.temps.used.Load()})
}

// TestTempDefinitionsAreBounded: what tables without rows take is counted too.
func TestTempDefinitionsAreBounded(t *testing.T) {
	s := &session{gateway: &Gateway{}}
	long := "'" + strings.Repeat("x", 1<<20) + "'"
	table := func(name string) tempTable {
		return tempTable{Table: catalog.Table{Name: name, Columns: []catalog.Column{{Name: "a", Type: columnar.Type{Kind: columnar.Text}, Default: long}}}}
	}
	var err error
	n := 0
	for ; err == nil; n++ {
		require.LessOrEqual(t, n, maxTemp>>20)
		_, err = s.makeTemp(nil, table(fmt.Sprintf("t%d", n)), false)
	}
	requireCode(t, "53400", err)
	was := s.temps.tables
	s.dropTemp("t0")
	s.endTemps(was, true)
	_, err = s.makeTemp(nil, table("again"), false)
	require.NoError(t, err)
	s.forgetTemps()
	s.endTemps(was, true)
	require.Zero(t, s.gateway.temps.used.Load())
}

// TestSavepointsOfTempsAreBounded: each keeps the tables as they were.
func TestSavepointsOfTempsAreBounded(t *testing.T) {
	temps := tempTables{}
	for i := range maxTempTables {
		temps[strconv.Itoa(i)] = tempTable{}
	}
	tx, values := &transaction{block: true}, newSettingValues()
	for i := range maxSavedTemps / maxTempTables {
		require.NoError(t, tx.save(strconv.Itoa(i), values, temps))
	}
	requireCode(t, "53400", tx.save("more", values, temps))
	require.NoError(t, tx.save("none", values, nil))
	require.NoError(t, tx.release("1"))
	require.NoError(t, tx.save("more", values, temps))
}
