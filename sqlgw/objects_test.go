package sqlgw

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the protocol's checksum
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/objectcache"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

// lake is the driver of a store in memory.
type lake struct {
	store.Store // of which nothing else is used

	mu      sync.Mutex
	objects map[string][]byte
	down    error
}

func (l *lake) Open(t store.Target) (store.Store, string, error) { return l, t.Path, nil }

func (l *lake) get(path string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.objects[path]
	if !ok && l.down == nil {
		return nil, store.ErrNotFound
	}
	return b, l.down
}

func (l *lake) Stat(_ context.Context, path string) (store.Object, error) {
	b, err := l.get(path)
	return store.Object{Path: path, Size: int64(len(b))}, err
}

func (l *lake) Get(_ context.Context, path string) (io.ReadCloser, error) {
	b, err := l.get(path)
	return io.NopCloser(bytes.NewReader(b)), err
}

func (l *lake) set(down error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

// put content into the lake, as of a journal.
func (l *lake) put(journal string, begin int64, content string) fragments.Fragment {
	f := fragments.Fragment{
		Journal: journal, Begin: begin, End: begin + int64(len(content)), Codec: protocol.CompressionCodec_NONE,
		Store: "s3://lake/", ModTime: 1, Sum: sha1.Sum([]byte(content)), //nolint:gosec // the protocol's checksum
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.objects[f.ContentPath()] = []byte(content)
	return f
}

// onLake is a gateway's way to files, over a lake and a cache of some bytes.
func onLake(t *testing.T, bound int64) (*lake, fileSource) {
	t.Helper()
	l := &lake{objects: map[string][]byte{}}
	root := t.TempDir()
	stores, err := store.NewRegistry(store.RegistryConfig{
		FileRoot: root, Entries: []store.Entry{{URL: "s3://lake/"}, {URL: "file:///"}}, Drivers: map[string]store.Driver{"s3": l},
	})
	require.NoError(t, err)
	cache, err := objectcache.Open(objectcache.Config{Dir: t.TempDir(), Bound: bound, Stores: stores})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(cache.Close(), stores.Close())) })
	return l, fileSource{stores: stores, cache: cache}
}

func TestWhereFragmentsAreRead(t *testing.T) {
	l, files := onLake(t, 1000)
	f := l.put("a/part-000", 0, "{}\n")
	path, ok := files.find(f)
	require.True(t, ok, "from a copy")
	require.Empty(t, path)

	foreign := f
	foreign.Store = "s3://another/"
	_, ok = files.find(foreign)
	require.False(t, ok, "the operator doesn't allow it")

	snappy := f
	snappy.Codec = protocol.CompressionCodec_SNAPPY
	_, ok = files.find(snappy)
	require.False(t, ok, "the engine can't read it")

	_, ok = fileSource{stores: files.stores}.find(f)
	require.False(t, ok, "there is no cache")

	local := f
	local.Store = "file:///"
	_, ok = files.find(local)
	require.False(t, ok, "its file isn't there")
}

// inPlaceAll is a journal all of whose fragments are read in place, but for a decoded end.
func inPlaceAll(journal string, list ...fragments.Fragment) journalScan {
	p := journalScan{journal: journal}
	for _, f := range list {
		p.pieces = append(p.pieces, piece{Begin: f.Begin, End: f.End, InPlace: &f})
		p.head = f.End
	}
	p.pieces = append(p.pieces, piece{Begin: p.head, End: p.head + 5})
	return p
}

// TestWhatCantBeCopiedIsDecoded: each byte of a journal is read once, from a copy or through the brokers.
func TestWhatCantBeCopiedIsDecoded(t *testing.T) {
	line := func(c byte) string { return "{\"a\":\"" + string(bytes.Repeat([]byte{c}, 91)) + "\"}\n" } // 100 bytes
	l, files := onLake(t, 250)
	g := &Gateway{files: files}
	plans := func() []journalScan {
		return []journalScan{
			inPlaceAll("a", l.put("a", 0, line('a')), l.put("a", 100, line('b')), l.put("a", 200, line('c'))),
			inPlaceAll("b", l.put("b", 0, line('a'))),
		}
	}
	read, err := g.split(t.Context(), plans())
	require.NoError(t, err)
	require.Len(t, read.files, 2, "there is room for two, and the content of the fourth is that of the first")
	require.Len(t, read.pins, 2)
	total := int64(0)
	for _, r := range read.ranges {
		total += r.end - r.begin
	}
	require.EqualValues(t, 4*100+2*5, total+2*100)
	require.Contains(t, read.ranges, decodeRangeOf{journal: "a", begin: 300, end: 305, newest: true})
	for _, file := range read.files {
		require.FileExists(t, file)
	}
	releaseAll(read.pins)

	l.set(errors.New("the lake is down")) // what was copied is read, the rest decoded
	again, err := g.split(t.Context(), plans())
	require.NoError(t, err)
	require.ElementsMatch(t, read.files, again.files)
	releaseAll(again.pins)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = g.split(ctx, plans())
	require.ErrorIs(t, err, context.Canceled)
}

// TestProofOfACopy: a store that doesn't answer is asked again, an object that is damaged isn't.
func TestProofOfACopy(t *testing.T) {
	l, files := onLake(t, 1000)
	var lines logLines
	p := newProofs(lines.logger(), "")
	p.copied = files.copied
	f := l.put("a", 1000, "{\"a\":1}\n")
	schema := testSchema()

	l.set(errors.New("the lake is down"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	_, known := p.get(f, "", schema, schema.Fingerprint())
	require.False(t, known)
	require.Eventually(t, func() bool { return lines.count() == 1 }, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	require.Empty(t, p.known)
	require.Empty(t, p.asked)

	l.set(nil)
	require.True(t, ask(t, p, f, "").Clean)

	bad := l.put("b", 1000, "{\"a\":2}\n")
	l.objects[bad.ContentPath()] = []byte("{\"a\":3}\n")
	require.False(t, ask(t, p, bad, "").Clean)
	require.Equal(t, 2, lines.count())
}
