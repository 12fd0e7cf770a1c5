package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
)

// Run tests that a store is one. open returns an empty store, another at each call.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for name, test := range map[string]func(suite){
		"put then read":           suite.putThenRead,
		"never replaced":          suite.neverReplaced,
		"concurrent creators":     suite.concurrentCreators,
		"large and empty objects": suite.largeAndEmpty,
		"sizes":                   suite.sizes,
		"not found":               suite.notFound,
		"listing":                 suite.listing,
		"listing stops":           suite.listingStops,
		"cancelled":               suite.cancelled,
		"failing body":            suite.failingBody,
		"bad paths":               suite.badPaths,
		"remove":                  suite.remove,
	} {
		t.Run(name, func(t *testing.T) { test(suite{t, open(t)}) })
	}
}

// suite is a test with the store that it is about.
type suite struct {
	t     *testing.T
	store store.Store
}

func (s suite) put(ctx context.Context, path, content string) error {
	return s.store.Put(ctx, path, strings.NewReader(content), int64(len(content)), store.Plain)
}

func (s suite) requireContent(path, content string) {
	s.t.Helper()
	r, err := s.store.Get(s.t.Context(), path)
	require.NoError(s.t, err)
	got, err := io.ReadAll(r)
	require.NoError(s.t, err)
	require.NoError(s.t, r.Close())
	require.Equal(s.t, content, string(got))
	object, err := s.store.Stat(s.t.Context(), path)
	require.NoError(s.t, err)
	require.Equal(s.t, path, object.Path)
	require.EqualValues(s.t, len(content), object.Size)
}

func (s suite) list(prefix string) []string {
	s.t.Helper()
	paths := []string{}
	require.NoError(s.t, s.store.List(s.t.Context(), prefix, func(o store.Object) error {
		paths = append(paths, o.Path)
		return nil
	}))
	return paths
}

func (s suite) putThenRead() {
	begin := time.Now().Add(-2 * time.Second)
	const path = "a/journal/date=2026-01-01/0-1-ü.raw"
	require.NoError(s.t, s.put(s.t.Context(), path, "content"))
	s.requireContent(path, "content")
	require.Equal(s.t, []string{path}, s.list("a/journal/"))
	object, err := s.store.Stat(s.t.Context(), path)
	require.NoError(s.t, err)
	require.True(s.t, object.ModTime.After(begin) && object.ModTime.Before(time.Now().Add(2*time.Second)),
		"modified at %s", object.ModTime)
	url, err := s.store.SignGet(path, time.Minute)
	require.NoError(s.t, err)
	require.Contains(s.t, url, "://")
}

func (s suite) neverReplaced() {
	require.NoError(s.t, s.put(s.t.Context(), "a/b", "first"))
	for _, content := range []string{"first", "other", ""} {
		err := s.put(s.t.Context(), "a/b", content)
		require.ErrorIs(s.t, err, store.ErrExists)
		require.ErrorContains(s.t, err, "a/b")
		s.requireContent("a/b", "first")
	}
	require.Equal(s.t, []string{"a/b"}, s.list(""))
	// Asked with a body that can't be read, the store still knows that it exists.
	err := s.store.Put(s.t.Context(), "a/b", iotest.ErrReader(errors.New("read")), 5, store.Plain)
	require.ErrorIs(s.t, err, store.ErrExists)
	require.NotContains(s.t, err.Error(), "read")
}

func (s suite) concurrentCreators() {
	const creators = 8
	for round := range 8 {
		path := fmt.Sprintf("round-%d/a/b", round)
		errs := make([]error, creators)
		var group sync.WaitGroup
		for i := range creators {
			group.Go(func() { errs[i] = s.put(s.t.Context(), path, strings.Repeat(strconv.Itoa(i), 1000)) })
		}
		group.Wait()
		winner := -1
		for i, err := range errs {
			if err == nil {
				require.Equal(s.t, -1, winner, "%d and %d created it", winner, i)
				winner = i
				continue
			}
			require.ErrorIs(s.t, err, store.ErrExists)
		}
		require.NotEqual(s.t, -1, winner, "nobody created it")
		s.requireContent(path, strings.Repeat(strconv.Itoa(winner), 1000))
		require.Equal(s.t, []string{path}, s.list(fmt.Sprintf("round-%d/", round)))
	}
}

func (s suite) largeAndEmpty() {
	large := strings.Repeat("0123456789abcdef", 1<<20)
	require.NoError(s.t, s.store.Put(s.t.Context(), "large", iotest.HalfReader(strings.NewReader(large)), int64(len(large)), store.Plain))
	s.requireContent("large", large)
	require.NoError(s.t, s.put(s.t.Context(), "empty", ""))
	s.requireContent("empty", "")
}

func (s suite) sizes() {
	for _, size := range []int64{-1, 0, 6, 8, 1 << 40} {
		err := s.store.Put(s.t.Context(), "a", strings.NewReader("content"), size, store.Plain)
		require.Error(s.t, err, "a body of 7 bytes as one of %d", size)
		require.NotErrorIs(s.t, err, store.ErrExists)
		require.Empty(s.t, s.list(""))
	}
}

func (s suite) notFound() {
	require.NoError(s.t, s.put(s.t.Context(), "a/b", "content"))
	for _, path := range []string{"c", "a", "a/c", "a/b/c", "b/a"} {
		_, err := s.store.Get(s.t.Context(), path)
		require.ErrorIs(s.t, err, store.ErrNotFound, "get %q", path)
		_, err = s.store.Stat(s.t.Context(), path)
		require.ErrorIs(s.t, err, store.ErrNotFound, "stat %q", path)
		require.ErrorIs(s.t, s.store.Remove(s.t.Context(), path), store.ErrNotFound, "remove %q", path)
	}
	require.Empty(s.t, s.list("c/"))
	// Nothing is below an object. A store of directories says instead that it is none: it can't tell whether one
	// should be there.
	err := s.store.List(s.t.Context(), "a/b/", func(o store.Object) error { return fmt.Errorf("lists %q", o.Path) })
	if err != nil {
		require.ErrorContains(s.t, err, "not a directory")
	}
	_, err = s.store.SignGet("c", time.Minute)
	require.NoError(s.t, err)
}

func (s suite) listing() {
	// In the order of their bytes: "-" and "." come before "/", "0" behind it.
	paths := []string{"a-/x", "a.b", "a/b", "a/b-c", "a/b.c/d", "a/c/d", "a0", "b/a", "ü"}
	for _, i := range []int{3, 0, 7, 5, 1, 8, 6, 4, 2} {
		require.NoError(s.t, s.put(s.t.Context(), paths[i], paths[i]))
	}
	for prefix, want := range map[string][]string{
		"":         paths,
		"a":        paths[:7],
		"a/":       paths[2:6],
		"a/b":      paths[2:5],
		"a/b.c/":   paths[4:5],
		"a/b.c/d":  paths[4:5],
		"a/b.c/de": {},
		"a/z/":     {},
		"z":        {},
	} {
		require.Equal(s.t, want, s.list(prefix), "prefix %q", prefix)
	}
	require.NoError(s.t, s.store.List(s.t.Context(), "a/b", func(o store.Object) error {
		require.EqualValues(s.t, len(o.Path), o.Size)
		return nil
	}))
}

func (s suite) listingStops() {
	for i := range 5 {
		require.NoError(s.t, s.put(s.t.Context(), fmt.Sprintf("a/%d", i), ""))
	}
	enough, n := errors.New("enough"), 0
	err := s.store.List(s.t.Context(), "a/", func(store.Object) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	require.Equal(s.t, enough, err)
	require.Equal(s.t, 3, n)
}

func (s suite) cancelled() {
	require.NoError(s.t, s.put(s.t.Context(), "a", "content"))
	gone := errors.New("the caller is gone")
	ctx, cancel := context.WithCancelCause(s.t.Context())
	body := &cancellingBody{after: 4, cancel: func() { cancel(gone) }}
	require.ErrorIs(s.t, s.store.Put(ctx, "b", body, 1<<36, store.Plain), gone, store.Plain)
	require.Equal(s.t, []string{"a"}, s.list(""))

	require.ErrorIs(s.t, s.put(ctx, "b", "content"), gone)
	_, err := s.store.Get(ctx, "a")
	require.ErrorIs(s.t, err, gone)
	_, err = s.store.Stat(ctx, "a")
	require.ErrorIs(s.t, err, gone)
	require.ErrorIs(s.t, s.store.Remove(ctx, "a"), gone)
	require.ErrorIs(s.t, s.store.List(ctx, "", func(store.Object) error { return nil }), gone)
	require.Equal(s.t, []string{"a"}, s.list(""))
}

// cancellingBody never ends; the copy of it is cancelled after some reads.
type cancellingBody struct {
	after  int
	cancel func()
}

func (b *cancellingBody) Read(p []byte) (int, error) {
	if b.after--; b.after == 0 {
		b.cancel()
	}
	return len(p), nil
}

func (s suite) failingBody() {
	broken := errors.New("broken")
	body := io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(broken))
	require.ErrorIs(s.t, s.store.Put(s.t.Context(), "a/b", body, 1<<21, store.Plain), broken, store.Plain)
	require.Empty(s.t, s.list(""))
	require.NoError(s.t, s.put(s.t.Context(), "a/b", "content"))
	s.requireContent("a/b", "content")
}

func (s suite) badPaths() {
	for _, path := range []string{
		"", "/", "/a", "a/", ".", "..", "../a", "a/..", "a/../b", "a/../../b", "./a", "a/./b", "a//b",
		"a\x00b", ".partial-x", "a/.partial-x",
	} {
		require.Error(s.t, s.put(s.t.Context(), path, "content"), "put %q", path)
		_, err := s.store.Get(s.t.Context(), path)
		require.Error(s.t, err, "get %q", path)
		_, err = s.store.Stat(s.t.Context(), path)
		require.Error(s.t, err, "stat %q", path)
		require.Error(s.t, s.store.Remove(s.t.Context(), path), "remove %q", path)
		_, err = s.store.SignGet(path, time.Minute)
		require.Error(s.t, err, "sign %q", path)
	}
	for _, prefix := range []string{"/", "../", "../a", "a/../", "a//b", "a/./b", "a\x00"} {
		require.Error(s.t, s.store.List(s.t.Context(), prefix, func(store.Object) error { return nil }), "list %q", prefix)
	}
	require.Empty(s.t, s.list(""))
}

func (s suite) remove() {
	require.NoError(s.t, s.put(s.t.Context(), "a/b", "content"))
	r, err := s.store.Get(s.t.Context(), "a/b")
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.Remove(s.t.Context(), "a/b"))
	require.ErrorIs(s.t, s.store.Remove(s.t.Context(), "a/b"), store.ErrNotFound)
	require.Empty(s.t, s.list(""))
	got, err := io.ReadAll(r)
	require.NoError(s.t, err, "who reads it goes on")
	require.Equal(s.t, "content", string(got))
	require.NoError(s.t, r.Close())
	require.NoError(s.t, s.put(s.t.Context(), "a/b", "again"))
	s.requireContent("a/b", "again")
}
