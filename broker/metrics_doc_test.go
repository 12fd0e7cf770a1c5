package broker_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/store"
)

// describer is a registerer that notes what is registered with it: metrics that have no
// labels yet can't be gathered.
type describer struct {
	prometheus.Registerer

	mu    sync.Mutex
	names []string
}

var (
	nameOf   = regexp.MustCompile(`fqName: "([^"]+)"`)
	labelsOf = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
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

// MustRegister as of prometheus.Registerer.
func (d *describer) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := d.Register(c); err != nil {
			panic(err)
		}
	}
}

// noted are the names and labels that were registered, in order.
func (d *describer) noted() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.names))
}

// TestMetricsPage: docs/metrics.md lists just what brokers and their stores export, with
// the labels.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	var brokers *describer
	brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) {
		brokers = &describer{Registerer: c.Registerer}
		c.Registerer = brokers
	}})
	require.Equal(t, brokers.noted(), listed(t, string(page), "## Brokers\n"))

	stores := &describer{Registerer: prometheus.NewRegistry()}
	r, err := store.NewRegistry(store.RegistryConfig{FileRoot: t.TempDir(), Registerer: stores})
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, stores.noted(), listed(t, string(page), "## Stores\n"))
}

// listed are the rows of a section of the page, in its order.
func listed(t *testing.T, page, title string) []string {
	t.Helper()
	_, section, ok := strings.Cut(page, title)
	require.True(t, ok, "%s is missing", title)
	section, _, _ = strings.Cut(section, "\n## ")
	var out []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_0-9]+)` \\|([^|]*)\\|").FindAllStringSubmatch(section, -1) {
		var labels []string
		for _, l := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[2], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		out = append(out, row[1]+"{"+strings.Join(labels, ",")+"}")
	}
	return out
}
