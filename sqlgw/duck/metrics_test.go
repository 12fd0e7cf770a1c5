package duck_test

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/sqlgw/duck"
)

func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := []string{strings.TrimPrefix(family.GetName(), "broadsheet_duck_")}
			for _, label := range m.GetLabel() {
				name = append(name, label.GetValue())
			}
			out[strings.Join(name, " ")] = m.GetCounter().GetValue()
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	db, err := duck.Open(t.Context(), duck.Config{Threads: 2, Registerer: registry})
	require.NoError(t, err)
	_, err = duck.Open(t.Context(), duck.Config{Threads: 2, Registerer: registry})
	require.ErrorContains(t, err, "metrics")
	register(t, db, "numbers", numbers(1000, 3))
	register(t, db, "endless", numbers(1000, -1))
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	before := gather(t, registry)
	_, err = query(t.Context(), c, "SELECT n FROM numbers('t')", nil)
	require.NoError(t, err)
	_, err = query(t.Context(), c, "SELECT 'a'::INT FROM numbers('t')", nil)
	require.Error(t, err)
	s, err := c.Prepare(t.Context(), "SELECT n FROM endless('t')")
	require.NoError(t, err)
	rows, err := s.Query(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, rows.Close())
	ctx, cancel := context.WithCancel(t.Context())
	rows, err = s.Query(ctx, nil)
	require.NoError(t, err)
	cancel()
	_, err = rows.Next(t.Context())
	require.ErrorIs(t, err, context.Canceled)
	after := gather(t, registry)
	for name, want := range map[string]float64{
		"statements_total done": 1, "statements_total failed": 1, "statements_total closed": 1, "statements_total cancelled": 1,
		"returned_rows_total": 3000,
	} {
		require.InDelta(t, want, after[name]-before[name], 0, name)
	}
	require.Greater(t, after["scanned_rows_total"]-before["scanned_rows_total"], 3000.0)
	require.NoError(t, db.Close())
	require.Empty(t, gather(t, registry))
}
