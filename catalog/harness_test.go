package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/internal/embedetcd/etcdtest"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testSpec(name string) TableSpec {
	return TableSpec{Schema: PublicSchema, Name: name, Columns: []Column{
		{Name: "id", Type: columnar.Type{Kind: columnar.Int64}, NotNull: true},
		{Name: "price", Type: columnar.Type{Kind: columnar.Decimal, Precision: 12, Scale: 2}, Default: "0"},
	}}
}

// brokers is a model of journals: what Apply and List of a broker do.
type brokers struct {
	mu       sync.Mutex
	revision int64
	specs    map[string]*protocol.JournalSpec
	mods     map[string]int64
	listed   []string // selectors
}

func newBrokers() *brokers {
	return &brokers{specs: make(map[string]*protocol.JournalSpec), mods: make(map[string]int64)}
}

func (b *brokers) Apply(ctx context.Context, changes []*protocol.ApplyRequest_Change) (*protocol.ApplyResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := (&protocol.ApplyRequest{Changes: changes}).Validate(); err != nil {
		return nil, err
	}
	if len(changes) > 128 {
		return nil, errors.New("too many operations in txn request")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		name := c.GetDelete() + c.GetUpsert().GetName()
		if rev := c.GetExpectModRevision(); rev != -1 && rev != b.mods[name] {
			return &protocol.ApplyResponse{Status: protocol.Status_ETCD_TRANSACTION_FAILED}, nil
		}
	}
	b.revision++
	for _, c := range changes {
		if c.GetDelete() != "" {
			delete(b.specs, c.GetDelete())
			delete(b.mods, c.GetDelete())
		} else {
			b.specs[c.GetUpsert().GetName()] = c.GetUpsert()
			b.mods[c.GetUpsert().GetName()] = b.revision
		}
	}
	return &protocol.ApplyResponse{}, nil
}

func (b *brokers) List(ctx context.Context, s *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := (&protocol.ListRequest{Selector: s}).Validate(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listed = append(b.listed, protocol.FormatLabelSelector(s))
	var out []*protocol.ListResponse_Journal
	for _, name := range slices.Sorted(maps.Keys(b.specs)) {
		if spec := b.specs[name]; s.ResolveMeta().Matches(spec.SelectableLabels()) {
			out = append(out, &protocol.ListResponse_Journal{Spec: spec, ModRevision: b.mods[name]})
		}
	}
	return out, nil
}

// byTable counts the journals that carry the label of a table.
func (b *brokers) byTable() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]int)
	for _, spec := range b.specs {
		if id := spec.GetLabels().ValueOf(LabelTableID); id != "" {
			out[id]++
		}
	}
	return out
}

func (b *brokers) add(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := b.Apply(t.Context(), []*protocol.ApplyRequest_Change{{Upsert: &protocol.JournalSpec{
			Name: name, Replication: 1,
			Fragment: testSpec("x").table(firstID, nil).journalSpec(DefaultDatabase, name).GetFragment(),
		}}})
		require.NoError(t, err)
	}
}

func (b *brokers) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.specs))
}

// world is an etcd and brokers, with any number of catalogs.
type world struct {
	t       *testing.T
	etcd    *etcdtest.Etcd
	client  *clientv3.Client
	brokers *brokers
	prefix  string
	timeout time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	e := etcdtest.New(t)
	return &world{t: t, etcd: e, client: e.Client(t), brokers: newBrokers(), prefix: "/bs", timeout: 30 * time.Second}
}

func (w *world) config() Config {
	return Config{
		Etcd: w.client, Prefix: w.prefix, Journals: w.brokers, Stores: []string{"file:///"},
		CreateTimeout: w.timeout, Logger: slog.New(slog.DiscardHandler),
	}
}

func (w *world) open(change ...func(*Config)) *Catalog {
	w.t.Helper()
	config := w.config()
	for _, c := range change {
		c(&config)
	}
	c, err := Open(w.t.Context(), config)
	require.NoError(w.t, err)
	return c
}

// run opens a catalog and runs it until the test ends.
func (w *world) run(change ...func(*Config)) *Catalog {
	w.t.Helper()
	c := w.open(change...)
	g := task.New(context.Background(), "test")
	g.Go("catalog", c.Run)
	w.t.Cleanup(func() {
		g.Cancel()
		require.NoError(w.t, g.Wait())
	})
	return c
}

func (w *world) snapshot(c *Catalog) *Snapshot {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	s, err := c.Snapshot(ctx)
	require.NoError(w.t, err)
	return s
}

// table is the one that has a name now, as its entry says; one without an id if there is none.
func (w *world) table(schemaName, name string) Table {
	w.t.Helper()
	r, err := w.client.Get(w.t.Context(), newKeys(w.prefix).table(DefaultDatabase, schemaName, name))
	require.NoError(w.t, err)
	t := Table{Schema: schemaName, Name: name}
	for _, kv := range r.Kvs {
		if found, err := decodeTable(kv.GetValue()); err == nil {
			t = found
		}
	}
	return t
}

// schema is as table, of schemas.
func (w *world) schema(name string) Schema {
	w.t.Helper()
	r, err := w.client.Get(w.t.Context(), newKeys(w.prefix).schema(DefaultDatabase, name))
	require.NoError(w.t, err)
	s := Schema{Name: name}
	for _, kv := range r.Kvs {
		e, err := decodeEntry[nameEntry](kv.GetValue())
		require.NoError(w.t, err)
		s.ID = e.ID
	}
	return s
}

// clean waits until no create or drop is left, and holds that tables and journals
// are then each other's.
func (w *world) clean(c *Catalog) *Snapshot {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for {
		changed := c.mirror.Changed()
		s := w.snapshot(c)
		if len(c.records()) == 0 {
			want := make(map[string]int)
			for _, t := range s.Tables() {
				if t.Owned {
					want[strconv.FormatInt(t.ID, 10)] = t.Options.Journals
				}
			}
			require.Equal(w.t, want, w.brokers.byTable(), "tables and journals")
			return s
		}
		select {
		case <-changed:
		case <-ctx.Done():
			require.Fail(w.t, "records are left", "%v", c.records())
		}
	}
}

// dump prints the keys of the catalog, without its prefix.
func (w *world) dump() string {
	w.t.Helper()
	r, err := w.client.Get(w.t.Context(), w.prefix+"/", clientv3.WithPrefix())
	require.NoError(w.t, err)
	var b strings.Builder
	for _, kv := range r.Kvs {
		fmt.Fprintf(&b, "%s %s\n", strings.TrimPrefix(string(kv.GetKey()), w.prefix), kv.GetValue())
	}
	return b.String()
}
