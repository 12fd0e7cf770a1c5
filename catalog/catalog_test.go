package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/protocol"
)

func TestEmptyCatalog(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	s := w.snapshot(c)
	require.Equal(t, []string{"postgres"}, s.Databases())
	require.Equal(t, "postgres", s.Database())
	require.Equal(t, []Schema{{ID: 16385, Name: "public", Access: nameEntry{Name: PublicSchema}.access()}}, s.Schemas())
	require.Empty(t, s.Tables())
	require.Positive(t, s.Revision())

	before := w.dump()
	w.run()
	require.Equal(t, before, w.dump(), "it is made once")
	_, err := Open(t.Context(), func() Config { c := w.config(); c.Database = "other"; return c }())
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, `database "other"`)
}

func TestCreateTable(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	spec := testSpec("clicks")
	spec.Options = Options{Journals: 3, PartitionBy: "id", Codec: protocol.CompressionCodec_GZIP}
	made, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, Table{
		ID: 16386, Schema: "public", Name: "clicks", Generation: 16386, Version: 16386, Access: Access{Owner: SuperuserID},
		Columns: []Column{
			{ID: 1, Name: "id", Type: columnar.Type{Kind: columnar.Int64}, NotNull: true},
			{ID: 2, Name: "price", Type: columnar.Type{Kind: columnar.Decimal, Precision: 12, Scale: 2}, Default: "0"},
		},
		Journals: "public/clicks.16386/", Owned: true,
		Options: Options{
			Journals: 3, PartitionBy: "id", Codec: protocol.CompressionCodec_GZIP, Replication: 1, FragmentLength: 64 << 20,
			FlushInterval: 10 * time.Minute, RefreshInterval: time.Minute, Stores: []string{"file:///"},
		},
	}, made)

	s := w.clean(c)
	got, ok := s.Table("public", "clicks")
	require.True(t, ok)
	require.Equal(t, made, got)
	require.Equal(t, []Table{made}, s.Tables())
	require.Equal(t, columnar.Schema{Version: 16386, Columns: []columnar.Column{
		{Name: "id", Type: columnar.Type{Kind: columnar.Int64}, NotNull: true},
		{Name: "price", Type: columnar.Type{Kind: columnar.Decimal, Precision: 12, Scale: 2}},
	}}, got.RowSchema())

	names, err := s.Journals(t.Context(), got)
	require.NoError(t, err)
	require.Equal(t, []string{"public/clicks.16386/part-000", "public/clicks.16386/part-001", "public/clicks.16386/part-002"}, names)
	require.Equal(t, names, w.brokers.names())
	journal := w.brokers.specs[names[1]]
	require.NoError(t, journal.Validate())
	require.Equal(t, "application/x-ndjson", journal.GetLabels().ValueOf("content-type"))
	require.Equal(t, "public/clicks", journal.GetLabels().ValueOf(LabelTable))
	require.Equal(t, "16386", journal.GetLabels().ValueOf(LabelTableID))
	require.Equal(t, "postgres", journal.GetLabels().ValueOf(LabelDatabase))
	require.Equal(t, protocol.CompressionCodec_GZIP, journal.GetFragment().GetCompressionCodec())
	require.Equal(t, int64(64<<20), journal.GetFragment().GetLength())
	require.Equal(t, 10*time.Minute, journal.GetFragment().GetFlushInterval().AsDuration())
	require.Equal(t, time.Minute, journal.GetFragment().GetRefreshInterval().AsDuration())
	require.Zero(t, journal.GetFragment().GetRetention().AsDuration())
	require.Equal(t, []string{"file:///"}, journal.GetFragment().GetStores())

	_, err = c.CreateTable(t.Context(), spec)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, Error{Code: ErrExists, Kind: "table", Name: "clicks"}, *e)
	spec.Schema = "nowhere"
	_, err = c.CreateTable(t.Context(), spec)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, `schema "nowhere" does not exist`)
	w.clean(c)
}

func TestDropAndMakeAgain(t *testing.T) {
	w := newWorld(t)
	c, other := w.run(), w.run()
	first, err := c.CreateTable(t.Context(), testSpec("clicks"))
	require.NoError(t, err)
	before := w.snapshot(other)
	require.NoError(t, other.DropTable(t.Context(), w.table("public", "clicks")))
	require.Empty(t, w.clean(c).Tables())
	require.Len(t, before.Tables(), 1, "a snapshot never changes")
	require.ErrorIs(t, c.DropTable(t.Context(), w.table("public", "clicks")), ErrNotFound)

	second, err := c.CreateTable(t.Context(), testSpec("clicks"))
	require.NoError(t, err)
	require.NotEqual(t, first.Generation, second.Generation)
	require.NotEqual(t, first.Journals, second.Journals)
	require.NotEqual(t, first.Version, second.Version)
	w.clean(c)
}

func TestManyJournals(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	spec := testSpec("wide")
	spec.Options.Journals = 1000
	_, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	w.clean(c)
	require.Len(t, w.brokers.names(), 1000)
	require.NoError(t, c.DropTable(t.Context(), w.table("public", "wide")))
	require.Empty(t, w.clean(c).Tables())
	require.Empty(t, w.brokers.names())
}

func TestTableOverJournals(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	spec := testSpec("rides")
	spec.OnJournals = "acme/rides/"
	_, err := c.CreateTable(t.Context(), spec)
	require.ErrorIs(t, err, ErrNoJournals)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "acme/rides/", e.Name)
	require.NotEmpty(t, e.Hint)

	w.brokers.add(t, "acme/rides/b", "acme/rides/a", "acme/ridesharing/x", "acme/other")
	made, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	require.False(t, made.Owned)
	require.Equal(t, "acme/rides/", made.Journals)
	s := w.clean(c)
	got, ok := s.Table("public", "rides")
	require.True(t, ok)
	require.Equal(t, made, got)
	names, err := s.Journals(t.Context(), got)
	require.NoError(t, err)
	require.Equal(t, []string{"acme/rides/a", "acme/rides/b"}, names)
	require.Contains(t, w.brokers.listed, "prefix=acme/rides/")
	w.brokers.add(t, "acme/rides/c")
	names, err = s.Journals(t.Context(), got)
	require.NoError(t, err)
	require.Len(t, names, 3, "journals that come later are its own too")

	_, err = c.CreateTable(t.Context(), spec)
	require.ErrorIs(t, err, ErrExists)
	spec.Name = "rides_too"
	again, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	require.NotEqual(t, made.Version, again.Version, "two tables over the same journals have different versions")

	require.NoError(t, c.DropTable(t.Context(), w.table("public", "rides")))
	w.clean(c)
	require.Len(t, w.brokers.names(), 5, "its journals stay")
}

func TestForeignJournalsAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	w.brokers.add(t, "public/clicks.16386/part-000")
	_, err := c.CreateTable(t.Context(), testSpec("clicks"))
	require.ErrorIs(t, err, ErrExists)
	require.ErrorContains(t, err, "public/clicks.16386/")
	require.Empty(t, w.clean(c).Tables())
	require.Len(t, w.brokers.names(), 1)

	// One that comes while the table is made isn't taken for its own either.
	spec := testSpec("hits")
	spec.Options.Journals = applyBatch + 1
	last := journalNames("public/hits.16386/", applyBatch+1)[applyBatch]
	late := w.open(func(c *Config) {
		c.Journals = &hookedJournals{Journals: w.brokers, before: func(call string, n int) error {
			if call == "Apply" && n == 2 {
				w.brokers.add(t, last)
			}
			return nil
		}}
	})
	_, err = late.CreateTable(t.Context(), spec)
	require.ErrorIs(t, err, ErrExists)
	require.Empty(t, w.clean(c).Tables())
	require.Equal(t, []string{"public/clicks.16386/part-000", last}, w.brokers.names())
}

// hookedJournals calls before with the number of each call among its kind.
type hookedJournals struct {
	Journals
	mu     sync.Mutex
	calls  map[string]int
	before func(call string, n int) error
}

func (h *hookedJournals) hook(call string) error {
	h.mu.Lock()
	if h.calls == nil {
		h.calls = make(map[string]int)
	}
	h.calls[call]++
	n := h.calls[call]
	h.mu.Unlock()
	return h.before(call, n)
}

func (h *hookedJournals) Apply(ctx context.Context, changes []*protocol.ApplyRequest_Change) (*protocol.ApplyResponse, error) {
	if err := h.hook("Apply"); err != nil {
		return nil, err
	}
	return h.Journals.Apply(ctx, changes)
}

func (h *hookedJournals) List(ctx context.Context, s *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error) {
	if err := h.hook("List"); err != nil {
		return nil, err
	}
	return h.Journals.List(ctx, s)
}

func TestRefusalByBrokers(t *testing.T) {
	w := newWorld(t)
	refused := &protocol.StatusError{Status: protocol.Status_NOT_ALLOWED, Detail: "full"}
	c := w.run(func(c *Config) {
		c.Journals = &hookedJournals{Journals: w.brokers, before: func(call string, n int) error {
			if call == "Apply" && n == 2 {
				return refused
			}
			return nil
		}}
	})
	spec := testSpec("clicks")
	spec.Options.Journals = applyBatch + 1
	_, err := c.CreateTable(t.Context(), spec)
	require.ErrorIs(t, err, protocol.Status_NOT_ALLOWED.Err())
	require.ErrorContains(t, err, `"public"."clicks"`)
	require.NotContains(t, w.dump(), "dropping", "it was taken back at once")
	require.Empty(t, w.clean(c).Tables())
	_, err = c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	w.clean(c)
}

func TestSchemas(t *testing.T) {
	w := newWorld(t)
	c, other := w.run(), w.run()
	made, err := c.CreateSchema(t.Context(), "Sales/EU")
	require.NoError(t, err)
	got, ok := w.snapshot(other).Schema("Sales/EU")
	require.True(t, ok)
	require.Equal(t, made, got)
	_, err = other.CreateSchema(t.Context(), "Sales/EU")
	require.ErrorIs(t, err, ErrExists)
	for _, reserved := range []string{"pg_catalog", "pg_temp_3", "information_schema", "bs_catalog"} {
		_, err = c.CreateSchema(t.Context(), reserved)
		require.ErrorIs(t, err, ErrReserved)
	}
	_, err = c.CreateSchema(t.Context(), "")
	require.ErrorIs(t, err, ErrInvalid)

	spec := testSpec("orders")
	spec.Schema = "Sales/EU"
	table, err := c.CreateTable(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("Sales+2FEU/orders.%d/", table.ID), table.Journals)
	err = other.DropSchema(t.Context(), w.schema("Sales/EU"))
	require.ErrorIs(t, err, ErrNotEmpty)
	require.ErrorContains(t, err, "Sales/EU")
	require.NoError(t, c.DropTable(t.Context(), w.table("Sales/EU", "orders")))
	require.NoError(t, other.DropSchema(t.Context(), w.schema("Sales/EU")))
	require.ErrorIs(t, other.DropSchema(t.Context(), w.schema("Sales/EU")), ErrNotFound)
	require.Equal(t, []Schema{{ID: 16385, Name: "public", Access: nameEntry{Name: PublicSchema}.access()}}, w.clean(c).Schemas())
}

// TestRaces makes and drops the same tables and schemas from two processes at once.
func TestRaces(t *testing.T) {
	w := newWorld(t)
	a, b := w.run(), w.run()
	var wg sync.WaitGroup
	for worker, c := range []*Catalog{a, b, a, b} {
		wg.Go(func() {
			for i := range 15 {
				spec := testSpec(fmt.Sprintf("t%d", i%3))
				spec.Schema = "s"
				spec.Options.Journals = 1 + i%2
				var err error
				switch (i + worker) % 4 {
				case 0:
					_, err = c.CreateSchema(t.Context(), "s")
				case 1:
					_, err = c.CreateTable(t.Context(), spec)
				case 2:
					err = c.DropTable(t.Context(), w.table("s", spec.Name))
				default:
					err = c.DropSchema(t.Context(), w.schema("s"))
				}
				var e *Error
				if err != nil && (!errors.As(err, &e) || e.Code == ErrUnknownOutcome) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := w.clean(a)
	_, ok := s.Schema("s")
	for _, table := range s.Tables() {
		require.True(t, ok, "%s is in a schema that isn't there", table.Name)
	}
}

// TestOneOfTwoWins has two creates of one name meet at the last step.
func TestOneOfTwoWins(t *testing.T) {
	w := newWorld(t)
	var both sync.WaitGroup
	both.Add(2)
	meet := func(c *Config) {
		c.Journals = &hookedJournals{Journals: w.brokers, before: func(call string, n int) error {
			if call == "Apply" && n == 1 {
				both.Done()
				both.Wait()
			}
			return nil
		}}
	}
	results := make([]error, 2)
	var wg sync.WaitGroup
	for i, c := range []*Catalog{w.open(meet), w.open(meet)} {
		wg.Go(func() { _, results[i] = c.CreateTable(t.Context(), testSpec("clicks")) })
	}
	wg.Wait()
	lost := slices.IndexFunc(results, func(err error) bool { return err != nil })
	require.GreaterOrEqual(t, lost, 0)
	require.NoError(t, results[1-lost])
	require.ErrorIs(t, results[lost], ErrExists)
	require.Len(t, w.clean(w.run()).Tables(), 1)
}

func TestConfigIsValidated(t *testing.T) {
	ok := Config{Etcd: &clientv3.Client{}, Prefix: "/bs", Journals: newBrokers(), Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, ok.Validate())
	for want, change := range map[string]func(*Config){
		"Etcd is missing":     func(c *Config) { c.Etcd = nil },
		"Journals is missing": func(c *Config) { c.Journals = nil },
		"Logger is missing":   func(c *Config) { c.Logger = nil },
		"Prefix":              func(c *Config) { c.Prefix = "bs" },
		"Stores":              func(c *Config) { c.Stores = []string{"not a store"} },
		"CreateTimeout":       func(c *Config) { c.CreateTimeout = -1 },
	} {
		bad := ok
		change(&bad)
		_, err := Open(t.Context(), bad)
		require.ErrorContains(t, err, want)
	}
}
