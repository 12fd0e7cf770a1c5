package cloud_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud/cloudtest"
)

// testErrors has errors of each kind, told apart, none of which tells a secret.
func testErrors(t *testing.T, server *cloudtest.Server) {
	t.Helper()
	require.NotEmpty(t, server.Secrets)
	proxy := cloudtest.NewProxy(t, server.Entry.Endpoint)
	via := server.Via(proxy.URL)
	s := open(t, registry(t, via), server.Entry.URL+"errors/")
	check := func(err, kind error) {
		t.Helper()
		require.ErrorIs(t, err, kind)
		for _, secret := range append(server.Secrets, "Signature", "sig=", "http://", "Authorization") {
			require.NotContains(t, err.Error(), secret)
		}
	}
	require.NoError(t, put(t.Context(), s, "a", "content"))
	check(put(t.Context(), s, "a", "content"), store.ErrExists)
	_, err := s.Get(t.Context(), "b")
	check(err, store.ErrNotFound)

	missing := via
	missing.URL = via.URL[:len(via.URL)-1] + "-missing/"
	m := open(t, registry(t, missing), missing.URL)
	check(put(t.Context(), m, "a", "content"), store.ErrNotAllowed)
	check(m.List(t.Context(), "", func(store.Object) error { return nil }), store.ErrNotAllowed)

	// The server is down: what it was doing is unknown.
	proxy.Reset(func(int, *http.Request) cloudtest.Fault { return cloudtest.Refuse })
	_, err = withTimeout(t, s, time.Second)
	require.Error(t, err)
	for _, secret := range append(server.Secrets, "http://") {
		require.NotContains(t, err.Error(), secret)
	}
	proxy.Reset(nil)

	// The addresses of this machine aren't allowed any more; then they are, to another port.
	guarded := via
	guarded.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	_, err = withTimeout(t, open(t, registry(t, guarded), server.Entry.URL), time.Second)
	check(err, store.ErrNotAllowed)
	require.ErrorContains(t, err, "127.0.0.1 is not a public one")
}

// TestWrongCredentials has keys that the servers don't know.
func TestWrongCredentials(t *testing.T) {
	t.Run("s3", func(t *testing.T) {
		server := cloudtest.S3(t)
		file := filepath.Join(t.TempDir(), "credentials")
		require.NoError(t, os.WriteFile(file, []byte("[test]\naws_access_key_id = test\naws_secret_access_key = other\n"), 0o600))
		t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
		s := open(t, registry(t, server.Entry), server.Entry.URL)
		require.ErrorIs(t, put(t.Context(), s, "a", "content"), store.ErrNotAllowed)
		_, err := s.Get(t.Context(), "a")
		require.ErrorIs(t, err, store.ErrNotAllowed)
	})
	t.Run("azure", func(t *testing.T) {
		server := cloudtest.Azure(t)
		require.NoError(t, os.WriteFile(server.Entry.AccountKeyFile, []byte("bm8gc3VjaCBrZXk="), 0o600))
		s := open(t, registry(t, server.Entry), server.Entry.URL)
		err := put(t.Context(), s, "a", "content")
		require.ErrorIs(t, err, store.ErrNotAllowed)
		require.NotContains(t, err.Error(), "MAC")
	})
}

// TestTokensAreGuarded: the claim of a service account goes to an address that the entry allows,
// and nowhere else that it is sent on to.
func TestTokensAreGuarded(t *testing.T) {
	var asked, told atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told.Add(1) }))
	defer elsewhere.Close()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect) // by which the claim would be sent again
	}))
	defer tokens.Close()
	entry := store.Entry{
		Name: "gcs", URL: "gs://bucket/", Endpoint: elsewhere.URL, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		CredentialsFile: cloudtest.ServiceAccount(t, tokens.URL),
	}
	_, err := open(t, registry(t, entry), entry.URL).Stat(t.Context(), "a")
	require.ErrorContains(t, err, "get a token: HTTP 307")
	require.Positive(t, asked.Swap(0))

	entry.Endpoint, entry.Addresses = "", nil
	_, err = open(t, registry(t, entry), entry.URL).Stat(t.Context(), "a")
	require.ErrorContains(t, err, "127.0.0.1 is not a public one")
	require.Zero(t, asked.Load())
	require.Zero(t, told.Load())
}

func withTimeout(t *testing.T, s store.Store, d time.Duration) (store.Object, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return s.Stat(ctx, "a")
}
