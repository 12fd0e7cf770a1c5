package consumer_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
)

// describer notes what is registered with it: metrics that have no labels yet can't be gathered.
type describer struct {
	prometheus.Registerer

	mu    sync.Mutex
	names []string
}

var (
	nameOf   = regexp.MustCompile(`fqName: "([^"]+)"`)
	labelsOf = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
	rowOf    = regexp.MustCompile("(?m)^\\| `([a-z_0-9]+)` \\|([^|]*)\\|")
	labelOf  = regexp.MustCompile("`([a-z_]+)`")
)

// Register as of prometheus.Registerer.
func (d *describer) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	var wg sync.WaitGroup
	wg.Go(func() { c.Describe(descs); close(descs) })
	for desc := range descs {
		name := nameOf.FindStringSubmatch(desc.String())[1]
		labels := strings.Split(labelsOf.FindStringSubmatch(desc.String())[1], ",")
		slices.Sort(labels)
		d.mu.Lock()
		d.names = append(d.names, name+"{"+strings.Join(labels, ",")+"}")
		d.mu.Unlock()
	}
	wg.Wait()
	return d.Registerer.Register(c)
}

// TestMetricsPage: docs/metrics.md lists just what hosts export, with the labels.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(page), "## Consumers\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	var want []string
	for _, row := range rowOf.FindAllStringSubmatch(section, -1) {
		var labels []string
		for _, l := range labelOf.FindAllStringSubmatch(row[2], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		want = append(want, row[1]+"{"+strings.Join(labels, ",")+"}")
	}
	d := &describer{Registerer: prometheus.NewRegistry()}
	w := newWorld(t)
	w.host(&tally{v: newVault()}, func(c *consumertest.Config) {
		c.Adjust = func(c *consumer.Config) { c.Registerer = d }
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	got := slices.DeleteFunc(slices.Sorted(slices.Values(d.names)), func(name string) bool {
		return strings.Contains(name, "_allocator_") || strings.HasPrefix(name, "broadsheet_append_service_")
	})
	require.Equal(t, want, got)
}
