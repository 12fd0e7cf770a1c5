package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/storetest"
)

func newRegistry(tb testing.TB, config store.RegistryConfig) *store.Registry {
	tb.Helper()
	r, err := store.NewRegistry(config)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, r.Close()) })
	return r
}

func openStore(tb testing.TB, r *store.Registry, url string) store.Store {
	tb.Helper()
	s, err := r.Open(url)
	require.NoError(tb, err)
	return s
}

func put(ctx context.Context, s store.Store, path, content string) error {
	return s.Put(ctx, path, strings.NewReader(content), int64(len(content)), store.Plain)
}

func read(tb testing.TB, s store.Store, path string) string {
	tb.Helper()
	r, err := s.Get(tb.Context(), path)
	require.NoError(tb, err)
	content, err := io.ReadAll(r)
	require.NoError(tb, errors.Join(err, r.Close()))
	return string(content)
}

func list(tb testing.TB, s store.Store, prefix string) []string {
	tb.Helper()
	var paths []string
	require.NoError(tb, s.List(tb.Context(), prefix, func(o store.Object) error {
		paths = append(paths, o.Path)
		return nil
	}))
	return paths
}

func TestConformance(t *testing.T) {
	for _, url := range []string{
		"file:///", "file:///below/the root/", "file:///x/?find=nowhere&replace=y", "file:///?find=journal&replace=topic",
	} {
		t.Run("directory "+url, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				t.Helper()
				return openStore(t, newRegistry(t, store.RegistryConfig{FileRoot: t.TempDir()}), url)
			})
		})
	}
	t.Run("crashfs", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			t.Helper()
			return openStore(t, newRegistry(t, store.RegistryConfig{FileRoot: "/root", FS: storetest.NewCrashFS()}), "file:///")
		})
	})
}

// TestNothingIsPutTooLate: nobody waits for it any more.
func TestNothingIsPutTooLate(t *testing.T) {
	s := openStore(t, newRegistry(t, store.RegistryConfig{FileRoot: t.TempDir()}), "file:///")
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("the statement was canceled")
	cancel(late)
	for _, content := range []string{"", "content"} {
		require.ErrorIs(t, put(ctx, s, "a", content), late)
		_, err := s.Stat(t.Context(), "a")
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}

// TestLinksLeadNowhere has links in the root that lead out of it, and around in it.
func TestLinksLeadNowhere(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "dir")))
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(root, "file")))
	require.NoError(t, os.Symlink(".", filepath.Join(root, "loop")))
	r := newRegistry(t, store.RegistryConfig{FileRoot: root})
	s := openStore(t, r, "file:///")
	for _, path := range []string{"dir/secret", "file", "loop/file", "loop/dir/secret"} {
		_, err := s.Get(t.Context(), path)
		require.ErrorContains(t, err, "escapes", "get %q", path)
		_, err = s.Stat(t.Context(), path)
		require.ErrorContains(t, err, "escapes", "stat %q", path)
		require.Error(t, s.Remove(t.Context(), path), "remove %q", path)
		_, ok := r.LocalPath("file:///", path)
		require.False(t, ok, "local path of %q", path)
	}
	require.Error(t, put(t.Context(), s, "dir/new", "content"))
	require.Error(t, put(t.Context(), s, "file", "content"))
	require.NoError(t, put(t.Context(), s, "real", "content"))
	require.Equal(t, []string{"real"}, list(t, s, ""))

	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	content, err := os.ReadFile(filepath.Join(outside, "secret"))
	require.NoError(t, err)
	require.Equal(t, "secret", string(content))
}

// TestNotAFile has a directory, and another kind of file, where an object should be.
func TestNotAFile(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "dir"), 0o700))
	s := openStore(t, newRegistry(t, store.RegistryConfig{FileRoot: root}), "file:///")
	err := put(t.Context(), s, "dir", "content")
	require.ErrorContains(t, err, "no regular file")
	require.NotErrorIs(t, err, store.ErrExists)
	require.NoError(t, put(t.Context(), s, "file", "content"))
	err = put(t.Context(), s, "file/below", "content")
	require.Error(t, err)
	require.NotErrorIs(t, err, store.ErrExists)
}

// TestDirectoryRemoved has the operator remove a directory that was in use.
func TestDirectoryRemoved(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, newRegistry(t, store.RegistryConfig{FileRoot: root}), "file:///")
	require.NoError(t, put(t.Context(), s, "a/b/c/d", "content"))
	require.NoError(t, os.RemoveAll(filepath.Join(root, "a")))
	require.NoError(t, put(t.Context(), s, "a/b/c/d", "again"))
	require.Equal(t, "again", read(t, s, "a/b/c/d"))
}

// TestFileOnly has stores of all schemes, none of which leaves the root.
func TestFileOnly(t *testing.T) {
	root := t.TempDir()
	r := newRegistry(t, store.RegistryConfig{FileRoot: root, FileOnly: true, Entries: []store.Entry{{Name: "lake", URL: "s3://acme/lake/"}}})
	for url, below := range map[string]string{
		"s3://bucket/of/s3/?profile=p&endpoint=http://127.0.0.1:1/": "of/s3",
		"gs://bucket/of/gs/":              "of/gs",
		"azure://container/of/azure/":     "of/azure",
		"azure-ad://tenant/of/azure-ad/":  "of/azure-ad",
		"file:///of/file/":                "of/file",
		"s3://bucket/?find=a/&replace=b/": "",
	} {
		t.Run(url, func(t *testing.T) {
			s := openStore(t, r, url)
			require.NoError(t, put(t.Context(), s, "c/object", url))
			content, err := os.ReadFile(filepath.Join(root, below, "c/object"))
			require.NoError(t, err)
			require.Equal(t, url, string(content))
			local, ok := r.LocalPath(url, "c/object")
			require.True(t, ok)
			require.Equal(t, filepath.Join(root, below, "c/object"), local)
			require.Equal(t, []string{"c/object"}, list(t, s, "c/"))
			require.ErrorIs(t, s.Put(t.Context(), "c/other", strings.NewReader("x"), 1, store.Gzip), store.ErrEncoding)
		})
	}
	resolved, err := r.Resolve("lake/clicks/")
	require.NoError(t, err)
	require.Equal(t, "s3://acme/lake/clicks/", resolved)
	for _, url := range []string{"ftp://host/", "s3://bucket/../up/", "s3://bucket/%2e%2e/", "s3:///"} {
		_, err := r.Open(url)
		require.Error(t, err, url)
	}
	_, err = store.NewRegistry(store.RegistryConfig{FileOnly: true})
	require.ErrorContains(t, err, "there is no root")
}

func TestRewrite(t *testing.T) {
	root := t.TempDir()
	r := newRegistry(t, store.RegistryConfig{FileRoot: root})
	const url = "file:///bucket/?FIND=old/&Replace=new/dir/"
	s := openStore(t, r, url)
	require.NoError(t, put(t.Context(), s, "old/journal/old/1.raw", "content"))
	content, err := os.ReadFile(filepath.Join(root, "bucket/new/dir/journal/old/1.raw"))
	require.NoError(t, err)
	require.Equal(t, "content", string(content))
	require.Equal(t, []string{"old/journal/old/1.raw"}, list(t, s, "old/journal/"))

	signed, err := s.SignGet("old/journal/old/1.raw", time.Minute)
	require.NoError(t, err)
	require.Equal(t, "file:///bucket/new/dir/journal/old/1.raw", signed)
	local, ok := r.LocalPath(url, "old/journal/old/1.raw")
	require.True(t, ok)
	require.Equal(t, filepath.Join(root, "bucket/new/dir/journal/old/1.raw"), local)

	// What is in the way of find: it is said, and nothing is left out of a listing.
	err = s.List(t.Context(), "old", nil)
	require.ErrorContains(t, err, "straddle")
	require.NoError(t, put(t.Context(), openStore(t, r, "file:///bucket/"), "x/old/2.raw", ""))
	require.ErrorContains(t, s.List(t.Context(), "x/", nil), "no path stands for")
	up := openStore(t, r, "file:///bucket/?find=x&replace=..")
	require.ErrorContains(t, put(t.Context(), up, "x/a", ""), "climbs")
	require.ErrorContains(t, up.List(t.Context(), "x/", nil), "climbs")
}

func TestLocalPath(t *testing.T) {
	root := t.TempDir()
	r := newRegistry(t, store.RegistryConfig{FileRoot: root, Entries: []store.Entry{{URL: "file:///here/"}}})
	require.NoError(t, put(t.Context(), openStore(t, r, "file:///here/"), "a b", "content"))
	path, ok := r.LocalPath("file:///here/", "a b")
	require.True(t, ok)
	require.Equal(t, filepath.Join(root, "here/a b"), path)
	for _, c := range [][2]string{
		{"file:///here/", "c"},
		{"file:///here/", "../here/a b"},
		{"file:///", "here/a b"},
		{"s3://here/", "a b"},
		{"file:///", ""},
	} {
		_, ok := r.LocalPath(c[0], c[1])
		require.False(t, ok, "%v", c)
	}
	// A relative root is as it was when the registry was made.
	t.Chdir(root)
	relative := newRegistry(t, store.RegistryConfig{FileRoot: "."})
	t.Chdir("here")
	path, ok = relative.LocalPath("file:///here/", "a b")
	require.True(t, ok)
	_, err := os.Stat(path)
	require.NoError(t, err)
}

// TestSweep removes partial files that are old, and nothing else.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	r := newRegistry(t, store.RegistryConfig{FileRoot: root, PartialAge: time.Hour})
	s := openStore(t, r, "file:///")
	require.NoError(t, put(t.Context(), s, "a/b/object", "content"))
	long := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"a/b/.partial-old", "a/b/.partial-new", ".partial-old", "a/b/old"} {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte("half"), 0o600))
		if strings.HasSuffix(name, "old") {
			require.NoError(t, os.Chtimes(filepath.Join(root, name), long, long))
		}
	}
	require.Equal(t, []string{"a/b/object", "a/b/old"}, list(t, s, ""))
	n, err := r.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.FileExists(t, filepath.Join(root, "a/b/.partial-new"))
	require.FileExists(t, filepath.Join(root, "a/b/old"))
	n, err = r.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Sweep(ctx)
	require.ErrorIs(t, err, context.Canceled)
	n, err = newRegistry(t, store.RegistryConfig{}).Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

// TestFileInPlaceOfDirectory: a listing that can't tell what there is isn't empty.
func TestFileInPlaceOfDirectory(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, newRegistry(t, store.RegistryConfig{FileRoot: root}), "file:///")
	require.NoError(t, put(t.Context(), s, "a/journal/object", "content"))
	require.Empty(t, list(t, s, "another/journal/"), "nothing was ever stored there")

	dir := filepath.Join(root, "a", "journal")
	require.NoError(t, os.Rename(dir, dir+".away"))
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	for _, prefix := range []string{"a/journal/", "a/journal/day=1/"} {
		err := s.List(t.Context(), prefix, func(store.Object) error { return nil })
		require.ErrorContains(t, err, "not a directory")
		require.NotErrorIs(t, err, store.ErrNotFound)
	}
	require.NoError(t, os.Remove(dir))
	require.NoError(t, os.Rename(dir+".away", dir))
	require.Equal(t, []string{"a/journal/object"}, list(t, s, "a/journal/"))
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s := openStore(t, newRegistry(t, store.RegistryConfig{FileRoot: t.TempDir(), Registerer: reg}), "file:///x/?find=a&replace=b")
	require.NoError(t, put(t.Context(), s, "a", "content"))
	require.ErrorIs(t, put(t.Context(), s, "a", "content"), store.ErrExists)
	require.Error(t, s.Put(t.Context(), "z", strings.NewReader(""), 7, store.Plain))
	_, err := s.Stat(t.Context(), "c")
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Equal(t, "content", read(t, s, "a"))
	require.NoError(t, s.List(t.Context(), "", func(store.Object) error { return nil }))
	require.NoError(t, s.Remove(t.Context(), "a"))
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP gazette_store_active Number of stores in use.
# TYPE gazette_store_active gauge
gazette_store_active 1
# HELP gazette_store_operation_total Operations of stores; an object that exists, or doesn't, is no error.
# TYPE gazette_store_operation_total counter
gazette_store_operation_total{operation="exists",status="success",store="file:///x/"} 1
gazette_store_operation_total{operation="get",status="success",store="file:///x/"} 1
gazette_store_operation_total{operation="list",status="success",store="file:///x/"} 1
gazette_store_operation_total{operation="put",status="error",store="file:///x/"} 1
gazette_store_operation_total{operation="put",status="exists",store="file:///x/"} 1
gazette_store_operation_total{operation="put",status="success",store="file:///x/"} 1
gazette_store_operation_total{operation="remove",status="success",store="file:///x/"} 1
# HELP gazette_store_put_bytes_total Bytes of the objects that were created.
# TYPE gazette_store_put_bytes_total counter
gazette_store_put_bytes_total{encoding="none",store="file:///x/"} 7
`), "gazette_store_active", "gazette_store_operation_total", "gazette_store_put_bytes_total"))
}

// TestErrorsNameTheObject demands of an error that it says what wasn't done to what.
func TestErrorsNameTheObject(t *testing.T) {
	s := openStore(t, newRegistry(t, store.RegistryConfig{FileRoot: t.TempDir()}), "file:///x/")
	_, err := s.Get(t.Context(), "a/b")
	var failed *store.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "a/b", failed.Path)
	require.ErrorContains(t, err, `get "a/b" in store file:///x/: object not found`)
}

func BenchmarkPut(b *testing.B) {
	s := openStore(b, newRegistry(b, store.RegistryConfig{FileRoot: b.TempDir()}), "file:///")
	for i := 0; b.Loop(); i++ {
		require.NoError(b, put(b.Context(), s, fmt.Sprintf("a/%d", i), "content"))
	}
}

// TestCheck: where paths would leave their store, or couldn't be listed, is told beforehand.
func TestCheck(t *testing.T) {
	r := newRegistry(t, store.RegistryConfig{FileRoot: t.TempDir()})
	for url, want := range map[string]string{
		"file:///":                                  "",
		"file:///x/?find=a/&replace=b..c/":          "",
		"file:///x/?find=a/journal&replace=../up":   `replace="../up" climbs`,
		"file:///?find=elsewhere&replace=../../..":  `replace="../../.." climbs`,
		"file:///?find=a/journal&replace=..":        `replace=".." climbs`,
		"file:///?find=a/journal&replace=/absolute": `"/absolute" is absolute`,
		"file:///?find=a/&replace=b//":              "not clean",
		"file:///?find=/part&replace=m":             "straddle",
		"file:///../up/":                            "climbs",
		"s3://bucket/":                              "no entry allows it",
	} {
		err := r.Check(url, "a/journal/")
		if want == "" {
			require.NoError(t, err, url)
			continue
		}
		var refused *store.URLError
		require.ErrorAs(t, err, &refused, url)
		require.ErrorContains(t, err, want, url)
	}
}
