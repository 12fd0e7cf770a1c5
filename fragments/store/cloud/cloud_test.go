package cloud_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud"
	"broadsheet.dev/broadsheet/fragments/store/cloud/cloudtest"
	"broadsheet.dev/broadsheet/fragments/store/health"
	"broadsheet.dev/broadsheet/fragments/store/storetest"
)

const partSize = 5 << 20

// registry has the entries of a test, and the drivers.
func registry(tb testing.TB, entries ...store.Entry) *store.Registry {
	tb.Helper()
	drivers, err := cloud.Drivers(cloud.Config{PartSize: partSize})
	require.NoError(tb, err)
	r, err := store.NewRegistry(store.RegistryConfig{Entries: entries, Drivers: drivers})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, r.Close()) })
	return r
}

func open(tb testing.TB, r *store.Registry, storeURL string) store.Store {
	tb.Helper()
	s, err := r.Open(storeURL)
	require.NoError(tb, err)
	return s
}

// TestS3, TestGCS, TestAzure and TestAzureAD have each provider's driver, and a server of its
// protocol, pass the same tests.
func TestS3(t *testing.T)      { testProvider(t, cloudtest.S3(t)) }
func TestGCS(t *testing.T)     { testProvider(t, cloudtest.GCS(t)) }
func TestAzure(t *testing.T)   { testProvider(t, cloudtest.Azure(t)) }
func TestAzureAD(t *testing.T) { testProvider(t, cloudtest.AzureAD(t)) }

func testProvider(t *testing.T, server *cloudtest.Server) {
	t.Helper()
	r := registry(t, server.Entry)
	t.Run("conformance", func(t *testing.T) {
		var stores atomic.Int64
		storetest.Run(t, func(t *testing.T) store.Store {
			t.Helper()
			return open(t, r, fmt.Sprintf("%sstore-%d/?find=nowhere&replace=y", server.Entry.URL, stores.Add(1)))
		})
	})
	t.Run("signed", func(t *testing.T) { testSigned(t, open(t, r, server.Entry.URL+"signed/")) })
	t.Run("encoded", func(t *testing.T) { testEncoded(t, open(t, r, server.Entry.URL+"encoded/")) })
	t.Run("names", func(t *testing.T) { testNames(t, open(t, r, server.Entry.URL+"names/")) })
	t.Run("parts race", func(t *testing.T) { testPartsRace(t, open(t, r, server.Entry.URL+"race/")) })
	t.Run("health", func(t *testing.T) { testHealth(t, r, server) })
	t.Run("faults", func(t *testing.T) { testFaults(t, server) })
	t.Run("errors", func(t *testing.T) { testErrors(t, server) })
}

// fetch reads a signed URL as somebody without credentials.
func fetch(tb testing.TB, signed string) (int, string) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, signed, http.NoBody)
	require.NoError(tb, err)
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	require.NoError(tb, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(tb, errors.Join(err, response.Body.Close()))
	return response.StatusCode, string(text)
}

func put(ctx context.Context, s store.Store, path, content string) error {
	return s.Put(ctx, path, strings.NewReader(content), int64(len(content)), store.Plain)
}

func read(tb testing.TB, s store.Store, path string) string {
	tb.Helper()
	body, err := s.Get(tb.Context(), path)
	require.NoError(tb, err)
	text, err := io.ReadAll(body)
	require.NoError(tb, errors.Join(err, body.Close()))
	return string(text)
}

func testSigned(t *testing.T, s store.Store) {
	t.Helper()
	require.NoError(t, put(t.Context(), s, "a/b=1/c d", "content"))
	signed, err := s.SignGet("a/b=1/c d", time.Hour)
	require.NoError(t, err)
	status, body := fetch(t, signed)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "content", body)

	u, err := url.Parse(signed)
	require.NoError(t, err)
	require.NotEmpty(t, u.RawQuery)
	if u.Query().Has("GoogleAccessId") {
		return // Its server checks no signature.
	}
	u.RawQuery = ""
	status, _ = fetch(t, u.String())
	require.NotEqual(t, http.StatusOK, status, "without a signature")
}

// testEncoded stores gzip that is read as what it encodes: by us, and at a signed URL.
func testEncoded(t *testing.T, s store.Store) {
	t.Helper()
	content := strings.Repeat("a line of some journal\n", 1000)
	var encoded bytes.Buffer
	// Several members, as spools have them.
	for _, part := range []string{content[:7], content[7:]} {
		w := gzip.NewWriter(&encoded)
		_, err := io.WriteString(w, part)
		require.NoError(t, errors.Join(err, w.Close()))
	}
	size := int64(encoded.Len())
	require.NoError(t, s.Put(t.Context(), "a/offloaded", &encoded, size, store.Gzip))
	require.Equal(t, content, read(t, s, "a/offloaded"))
	signed, err := s.SignGet("a/offloaded", time.Hour)
	require.NoError(t, err)
	status, body := fetch(t, signed)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, content, body)
}

// testNames has names of every character that a journal may have, and a space.
func testNames(t *testing.T, s store.Store) {
	t.Helper()
	for _, path := range []string{"a-b_c+d/e.f=g%h", "100%25/ä/中/x", "a b/c", "a%2Fb/c"} {
		require.NoError(t, put(t.Context(), s, path, path))
		require.Equal(t, path, read(t, s, path))
		var listed []string
		dir := path[:strings.LastIndex(path, "/")+1]
		require.NoError(t, s.List(t.Context(), dir, func(o store.Object) error {
			listed = append(listed, o.Path)
			return nil
		}))
		require.Equal(t, []string{path}, listed)
		signed, err := s.SignGet(path, time.Hour)
		require.NoError(t, err)
		status, body := fetch(t, signed)
		require.Equal(t, http.StatusOK, status, path)
		require.Equal(t, path, body)
	}
}

// testPartsRace has two create one object of several parts.
func testPartsRace(t *testing.T, s store.Store) {
	t.Helper()
	errs := make(chan error, 2)
	var group sync.WaitGroup
	for i := range 2 {
		content := strings.Repeat(strconv.Itoa(i), partSize+1)
		group.Go(func() { errs <- put(t.Context(), s, "a/b", content) })
	}
	group.Wait()
	won := 0
	for range 2 {
		if err := <-errs; err == nil {
			won++
		} else {
			require.ErrorIs(t, err, store.ErrExists)
		}
	}
	require.Equal(t, 1, won)
	got := read(t, s, "a/b")
	require.Equal(t, strings.Repeat(got[:1], partSize+1), got)
}

// testHealth checks the server's health, twice, as the object is there the second time.
func testHealth(t *testing.T, r *store.Registry, server *cloudtest.Server) {
	t.Helper()
	for range 2 {
		c, err := health.New(health.Config{Stores: r, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		require.NoError(t, c.Await(t.Context(), server.Entry.URL+"health/"))
		require.NoError(t, c.CheckDelete(t.Context(), server.Entry.URL+"health/", "acme/"))
		require.NoError(t, c.Close())
	}
	s := open(t, r, server.Entry.URL+"health/")
	require.Equal(t, "health-check\n", read(t, s, ".test/health-check"))
	_, err := s.Stat(t.Context(), "acme/.gazette-delete-probe")
	require.ErrorIs(t, err, store.ErrNotFound)
}
