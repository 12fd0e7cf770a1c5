package views

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// TestMetricsPage: docs/metrics.md lists just what views export, with the labels.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(page), "## Materialized views\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	var want []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_0-9]+)` \\|([^|]*)\\|").FindAllStringSubmatch(section, -1) {
		want = append(want, row[1]+strings.ReplaceAll(row[2], "`", ""))
	}
	registry := prometheus.NewRegistry()
	m := newMetrics()
	require.NoError(t, m.register(registry))
	require.Error(t, m.register(registry), "twice")
	m.of(1)
	families, err := registry.Gather()
	require.NoError(t, err)
	var got []string
	for _, f := range families {
		words := []string{f.GetName()}
		labels := f.GetMetric()[0].GetLabel()
		slices.Reverse(labels)
		for _, l := range labels {
			words = append(words, l.GetName())
		}
		got = append(got, strings.Join(words, " ")+" ")
	}
	require.Equal(t, want, got)
}
