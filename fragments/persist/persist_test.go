package persist_test

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // fragments are named by it
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/fragments/persist"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/storetest"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	journal = "acme/clicks"
	begin   = 1000
)

var codecs = []protocol.CompressionCodec{
	protocol.CompressionCodec_NONE, protocol.CompressionCodec_GZIP,
	protocol.CompressionCodec_ZSTANDARD, protocol.CompressionCodec_SNAPPY,
}

// spooled is the content of a spool that begins at an offset of the journal.
type spooled struct {
	begin int64
	r     io.ReaderAt
}

func (s spooled) ReadAt(p []byte, off int64) (int, error) { return s.r.ReadAt(p, off-s.begin) }

func completed(c protocol.CompressionCodec, content string) persist.Completed {
	return persist.Completed{
		Fragment: fragments.Fragment{
			Journal: journal, Begin: begin, End: begin + int64(len(content)),
			Sum: sha1.Sum([]byte(content)), Codec: c, //nolint:gosec // see the import
		},
		Content:     spooled{begin: begin, r: strings.NewReader(content)},
		FirstAppend: time.Date(2026, 3, 1, 23, 59, 0, 0, time.FixedZone("west", -3600)),
	}
}

func spec() *protocol.JournalSpec {
	return &protocol.JournalSpec{
		Name:     journal,
		Fragment: &protocol.JournalSpec_Fragment{Stores: []string{"file:///"}},
	}
}

var text = strings.Repeat("a line of some journal\n", 5000)

// bench is a persister over a file store, with what can be seen of it.
type bench struct {
	*persist.Persister
	stores  *store.Registry
	metrics *prometheus.Registry
	log     *bytes.Buffer
	temp    string
}

func newBench(tb testing.TB, fs store.FS, change ...func(*persist.Config)) *bench {
	tb.Helper()
	b := &bench{metrics: prometheus.NewPedanticRegistry(), log: new(bytes.Buffer), temp: tb.TempDir()}
	var err error
	b.stores, err = store.NewRegistry(store.RegistryConfig{FileRoot: tb.TempDir(), FS: fs})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, b.stores.Close()) })
	config := persist.Config{
		Stores: b.stores, TempDir: b.temp, Registerer: b.metrics, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	for _, f := range change {
		f(&config)
	}
	b.Persister, err = persist.New(config)
	require.NoError(tb, err)
	return b
}

// requireStored demands that the store holds exactly the fragment, whole, and that
// nothing else is left of persisting it.
func (b *bench) requireStored(tb testing.TB, want fragments.Fragment, content string) {
	tb.Helper()
	s, err := b.stores.Open("file:///")
	require.NoError(tb, err)
	var found []fragments.Fragment
	require.NoError(tb, s.List(tb.Context(), journal+"/", func(o store.Object) error {
		f, err := fragments.ParseContentPath(journal, o.Path)
		f.Store, f.ModTime = "file:///", o.ModTime.Unix()
		found = append(found, f)
		return err
	}))
	require.Equal(tb, []fragments.Fragment{want}, found)
	body, err := s.Get(tb.Context(), want.ContentPath())
	require.NoError(tb, err)
	r, err := codec.NewReader(want.Codec, body, want.Length())
	require.NoError(tb, err)
	got, err := io.ReadAll(r)
	require.NoError(tb, errors.Join(err, r.Close(), body.Close()))
	require.Equal(tb, content, string(got))
	left, err := os.ReadDir(b.temp)
	require.NoError(tb, err)
	require.Empty(tb, left)
}

func (b *bench) requireMetric(tb testing.TB, name string, want float64) {
	tb.Helper()
	all, err := b.metrics.Gather()
	require.NoError(tb, err)
	for _, m := range all {
		if m.GetName() == name {
			value := m.GetMetric()[0].GetCounter().GetValue() + m.GetMetric()[0].GetGauge().GetValue()
			require.InDelta(tb, want, value, 0, "%s", name)
			return
		}
	}
	require.Fail(tb, "no metric", "%s", name)
}

func TestPersist(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.String(), func(t *testing.T) {
			b := newBench(t, nil)
			got, err := b.Persist(t.Context(), spec(), completed(c, text))
			require.NoError(t, err)
			want := completed(c, text).Fragment
			want.Store, want.ModTime = "file:///", got.ModTime
			require.Equal(t, want, got)
			require.True(t, got.Stored())
			b.requireStored(t, got, text)
			b.requireMetric(t, "gazette_spool_persisted_total", 1)
			b.requireMetric(t, "broadsheet_persist_uploads", 0)
			require.Empty(t, b.log.String())
			problems, err := testutil.GatherAndLint(b.metrics)
			require.NoError(t, err)
			require.Empty(t, problems)
		})
	}
}

func TestPathPostfix(t *testing.T) {
	b, s := newBench(t, nil), spec()
	s.Labels = protocol.MustLabelSet("region", "eu")
	s.Fragment.PathPostfixTemplate = `region={{ .LabelSet.ValueOf "region" }}/date={{ .Spool.FirstAppendTime.Format "2006-01-02" }}/` +
		`{{ .Spool.Registers.ValueOf "author" }}-{{ .Spool.Begin }}`
	c := completed(protocol.CompressionCodec_SNAPPY, text)
	c.Registers = protocol.MustLabelSet("author", "me")
	got, err := b.Persist(t.Context(), s, c)
	require.NoError(t, err)
	require.Equal(t, "region=eu/date=2026-03-02/me-1000", got.PathPostfix)
	b.requireStored(t, got, text)
}

func TestRefused(t *testing.T) {
	with := func(change func(*protocol.JournalSpec, *persist.Completed)) func() (*protocol.JournalSpec, persist.Completed) {
		return func() (*protocol.JournalSpec, persist.Completed) {
			s, c := spec(), completed(protocol.CompressionCodec_GZIP, text)
			change(s, &c)
			return s, c
		}
	}
	for want, make := range map[string]func() (*protocol.JournalSpec, persist.Completed){
		"the journal has no store": with(func(s *protocol.JournalSpec, _ *persist.Completed) { s.Fragment.Stores = nil }),
		"store file:/// can't decompress GZIP_OFFLOAD_DECOMPRESSION": with(func(_ *protocol.JournalSpec, c *persist.Completed) {
			c.Codec = protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION
		}),
		`no entry allows it`: with(func(s *protocol.JournalSpec, _ *persist.Completed) {
			s.Fragment.Stores = []string{"s3://bucket/", "file:///"}
		}),
		`argument "key" is unknown`: with(func(s *protocol.JournalSpec, _ *persist.Completed) {
			s.Fragment.Stores = []string{"file:///?key=x"}
		}),
		"path postfix template": with(func(s *protocol.JournalSpec, _ *persist.Completed) {
			s.Fragment.PathPostfixTemplate = "{{ .Nothing }}"
		}),
		"leads out of its root": with(func(s *protocol.JournalSpec, _ *persist.Completed) {
			s.Fragment.PathPostfixTemplate = "../{{ .Name }}"
		}),
		`spec is that of journal "other/journal"`: with(func(s *protocol.JournalSpec, _ *persist.Completed) { s.Name = "other/journal" }),
		"not a fragment with content":             with(func(_ *protocol.JournalSpec, c *persist.Completed) { c.End = c.Begin }),
		"content and its sum":                     with(func(_ *protocol.JournalSpec, c *persist.Completed) { c.Sum = [20]byte{} }),
		"fragment with content and":               with(func(_ *protocol.JournalSpec, c *persist.Completed) { c.Content = nil }),
		"CompressionCodec":                        with(func(_ *protocol.JournalSpec, c *persist.Completed) { c.Codec = 0 }),
		"Journal: ":                               with(func(s *protocol.JournalSpec, c *persist.Completed) { s.Name, c.Journal = "a", "a" }),
	} {
		t.Run(want, func(t *testing.T) {
			fs := storetest.NewCrashFS()
			b := newBench(t, fs)
			s, c := make()
			_, err := b.Persist(t.Context(), s, c)
			var refused *persist.RefusedError
			require.ErrorAs(t, err, &refused)
			require.ErrorContains(t, err, want)
			require.Equal(t, want == persist.ErrNoStore.Error(), errors.Is(err, persist.ErrNoStore))
			require.Empty(t, fs.Files())
		})
	}
	_, err := newBench(t, nil).Persist(t.Context(), nil, completed(protocol.CompressionCodec_GZIP, text))
	require.ErrorContains(t, err, "refused")
}

func TestConfig(t *testing.T) {
	for want, config := range map[string]persist.Config{
		"without stores":   {Logger: slog.New(slog.DiscardHandler)},
		"without a logger": {Stores: stores{}},
		"-1 uploads":       {Logger: slog.New(slog.DiscardHandler), Stores: stores{}, MaxUploads: -1},
	} {
		_, err := persist.New(config)
		require.ErrorContains(t, err, want)
	}
}

// stores opens the one store, whatever the URL.
type stores struct{ store.Store }

func (s stores) Open(string) (store.Store, error) { return s.Store, nil }

// zeros is a large content that isn't held in memory. While it is read it looks now
// and then at what else is.
type zeros struct {
	reads int
	most  uint64 // Bytes that were live at most.
}

func (z *zeros) ReadAt(p []byte, _ int64) (int, error) {
	if z.reads++; z.reads%256 == 0 {
		runtime.GC()
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		z.most = max(z.most, now.HeapAlloc)
	}
	clear(p)
	return len(p), nil
}

// TestMemoryIsBounded persists a fragment that is far larger than what is live then.
func TestMemoryIsBounded(t *testing.T) {
	const size, bound = 128 << 20, 24 << 20
	sum := sha1.New() //nolint:gosec // fragments are named by it
	_, err := io.Copy(sum, io.NewSectionReader(new(zeros), 0, size))
	require.NoError(t, err)
	for _, codecOf := range codecs {
		b, content := newBench(t, nil), new(zeros)
		c := completed(codecOf, text)
		c.End, c.Content = c.Begin+size, content
		copy(c.Sum[:], sum.Sum(nil))
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = b.Persist(t.Context(), spec(), c)
		require.NoError(t, err)
		require.NotZero(t, content.most, "%s", codecOf)
		require.Less(t, content.most, before.HeapAlloc+bound, "%s", codecOf)
	}
}
