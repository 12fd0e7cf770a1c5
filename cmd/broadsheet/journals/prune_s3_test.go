package journals_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud"
	"broadsheet.dev/broadsheet/fragments/store/cloud/cloudtest"
)

// run the program, and return what it prints.
func run(ctx context.Context, t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := root()
	var out, errs bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	require.NoError(t, cmd.ExecuteContext(ctx), "%v: %s", args, errs.String())
	return out.String()
}

// TestPruneS3: fragments that are past their retention are removed from a bucket, whose name and credentials the
// file of stores has.
func TestPruneS3(t *testing.T) {
	server := cloudtest.S3(t)
	drivers, err := cloud.Drivers(cloud.Config{})
	require.NoError(t, err)
	stores, err := store.NewRegistry(store.RegistryConfig{Entries: []store.Entry{server.Entry}, Drivers: drivers})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stores.Close()) })
	b := brokertest.New(t, brokertest.Config{Quiet: true, Adjust: func(c *broker.Config) { c.Stores = stores }})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	spec := brokertest.Spec("a/journal")
	spec.Fragment.Stores = []string{server.Entry.URL}
	spec.Fragment.RefreshInterval = durationpb.New(time.Second)
	spec.Fragment.Retention = durationpb.New(time.Second)
	b.Create(spec)
	file := filepath.Join(t.TempDir(), "stores.yaml")
	e := server.Entry
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil,
		"stores:\n  - {name: %s, url: %q, endpoint: %q, addresses: [%s], region: %s, profile: %s}\n",
		e.Name, e.URL, e.Endpoint, e.Addresses[0], e.Region, e.Profile), 0o600))
	address := "--broker.address=" + b.Endpoint()
	for _, text := range []string{"first", "second"} { // which closes the fragment of the first
		run(ctx, t, text, "journals", "append", address, "-l", "name=a/journal")
	}
	objects := func() []string {
		found, err := filepath.Glob(filepath.Join(server.Dir, "a", "journal", "*"))
		require.NoError(t, err)
		return found
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	until := func(holds func() bool) {
		for !holds() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				require.FailNow(t, "it never was so", "%v", objects())
			}
		}
	}
	until(func() bool { return len(objects()) == 1 })
	var out string
	until(func() bool { // The fragment is young at first.
		out = run(ctx, t, "", "journals", "prune", address, "--stores", file, "-l", "name=a/journal", "--dry-run")
		return strings.Contains(out, "a/journal")
	})
	require.Regexp(t, `TO REMOVE[^\n]*\na/journal +1 +5 +0\n`, out)
	require.Len(t, objects(), 1)
	out = run(ctx, t, "", "journals", "prune", address, "--stores", file, "-l", "name=a/journal")
	require.Regexp(t, `REMOVED[^\n]*\na/journal +1 +5 +0\n`, out)
	require.Empty(t, objects())
}
