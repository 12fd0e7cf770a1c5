package objectcache

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // fragments are named by it
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

// shelf is a store whose objects can be had in every wrong way.
type shelf struct {
	store.Store // of which nothing else is used

	mu      sync.Mutex
	objects map[string][]byte
	gets    map[string]int
	body    func(context.Context, io.Reader) io.Reader // what is sent of an object
}

func newShelf() *shelf { return &shelf{objects: map[string][]byte{}, gets: map[string]int{}} }

func (s *shelf) Open(url string) (store.Store, error) {
	if url != "s3://lake/" {
		return nil, store.ErrNotAllowed
	}
	return s, nil
}

func (s *shelf) Stat(_ context.Context, path string) (store.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[path]
	if !ok {
		return store.Object{}, store.ErrNotFound
	}
	return store.Object{Path: path, Size: int64(len(object))}, nil
}

func (s *shelf) Get(ctx context.Context, path string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[path]
	if !ok {
		return nil, store.ErrNotFound
	}
	s.gets[path]++
	var r io.Reader = bytes.NewReader(object)
	if s.body != nil {
		r = s.body(ctx, r)
	}
	return io.NopCloser(r), nil
}

// sending sets what is sent of objects from now on.
func (s *shelf) sending(body func(context.Context, io.Reader) io.Reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = body
}

// count of the times that an object was asked for.
func (s *shelf) count(f fragments.Fragment) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets[f.ContentPath()]
}

// put content on the shelf.
func (s *shelf) put(t require.TestingT, c protocol.CompressionCodec, content string) fragments.Fragment {
	f := fragments.Fragment{
		Journal: "acme/rides", Begin: 100, End: 100 + int64(len(content)), Codec: c, Store: "s3://lake/",
		Sum: sha1.Sum([]byte(content)), ModTime: 1, //nolint:gosec // as above
	}
	var object bytes.Buffer
	w, err := codec.NewWriter(c, &object)
	require.NoError(t, err)
	_, err = io.WriteString(w, content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[f.ContentPath()] = object.Bytes()
	return f
}

// numbered is content of some bytes that no other number has.
func numbered(n, size int) string {
	line := fmt.Sprintf("%08d\n", n)
	return strings.Repeat(line, size/len(line)+1)[:size]
}

const (
	none = protocol.CompressionCodec_NONE
	zstd = protocol.CompressionCodec_ZSTANDARD
)

// open a cache that is closed with the test.
func open(t *testing.T, cfg Config) *Cache {
	t.Helper()
	if cfg.Bound == 0 {
		cfg.Bound = 1 << 20
	}
	c, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func fetch(t *testing.T, c *Cache, f fragments.Fragment) *Pin {
	t.Helper()
	pin, err := c.Fetch(t.Context(), f)
	require.NoError(t, err)
	return pin
}

// contentOf a pinned file.
func contentOf(t require.TestingT, p *Pin) string {
	file, err := os.Open(p.Path())
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	r, err := codec.NewReader(p.entry.key.codec, file, 1<<30)
	require.NoError(t, err)
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

// files of a directory but for its lock, and how many bytes they have.
func files(t require.TestingT, dir string) ([]string, int64) {
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	size := int64(0)
	for _, d := range list {
		if d.Name() == lockName {
			continue
		}
		info, err := os.Lstat(filepath.Join(dir, d.Name()))
		require.NoError(t, err)
		names, size = append(names, d.Name()), size+info.Size()
	}
	return names, size
}

// told is the value of a metric.
func told(t *testing.T, reg *prometheus.Registry, name string) string {
	t.Helper()
	all, err := reg.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, m := range all {
		if m.GetName() == "broadsheet_objectcache_"+name {
			for _, x := range m.GetMetric() {
				sum += x.GetGauge().GetValue() + x.GetCounter().GetValue()
			}
		}
	}
	return strconv.FormatFloat(sum, 'f', -1, 64)
}
