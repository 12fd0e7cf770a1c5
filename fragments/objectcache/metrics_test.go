package objectcache

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// TestMetricsPage: docs/metrics.md lists just what a cache exports.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(page), "## Cached objects\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	var listed, registered []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
		listed = append(listed, row[1])
	}
	reg := prometheus.NewRegistry()
	newMetrics(reg).downloads.WithLabelValues("success").Inc()
	all, err := reg.Gather()
	require.NoError(t, err)
	for _, m := range all {
		registered = append(registered, m.GetName())
	}
	require.Equal(t, registered, listed)
}
