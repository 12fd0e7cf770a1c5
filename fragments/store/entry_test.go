package store_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
)

// recorder is a driver that remembers what it was to open.
type recorder struct {
	store.Store
	opened []store.Target
	fail   error
}

func (r *recorder) Open(t store.Target) (store.Store, string, error) {
	r.opened = append(r.opened, t)
	return r, t.Path, r.fail
}

func (r *recorder) SignGet(key string, _ time.Duration) (string, error) { return "key " + key, nil }
func (r *recorder) Client() *http.Client                                { return http.DefaultClient }

// example is the file in docs/stores.md.
func example(t *testing.T) []store.Entry {
	t.Helper()
	text, err := os.ReadFile("../../docs/stores.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "```yaml\n")
	require.True(t, ok)
	file, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	name := filepath.Join(t.TempDir(), "stores.yaml")
	require.NoError(t, os.WriteFile(name, []byte(file), 0o600))
	entries, err := store.ReadEntries(name)
	require.NoError(t, err)
	return entries
}

// TestDocExample opens what the example in docs/stores.md allows, by URL and by name.
func TestDocExample(t *testing.T) {
	driver := new(recorder)
	r := newRegistry(t, store.RegistryConfig{
		FileRoot: t.TempDir(), Entries: example(t),
		Drivers: map[string]store.Driver{"s3": driver, "gs": driver, "azure": driver, "azure-ad": driver},
	})
	for name, want := range map[string]string{
		"lake":               "s3://acme-lake/prod/",
		"lake/clicks/":       "s3://acme-lake/prod/clicks/",
		"attic":              "s3://attic/",
		"archive":            "gs://acme-archive/",
		"blue/x/":            "azure://journals/x/",
		"tenant":             "azure-ad://contoso/acme/journals/",
		"local":              "file:///",
		"gs://acme-archive/": "gs://acme-archive/",
	} {
		got, err := r.Resolve(name)
		require.NoError(t, err, name)
		require.Equal(t, want, got)
	}
	s := openStore(t, r, "s3://attic/x/?REGION=eu&endpoint=https://objects.acme.internal:9000&find=a&replace=b")
	target := driver.opened[len(driver.opened)-1]
	require.Equal(t, "attic", target.Host)
	require.Equal(t, "x/", target.Path)
	require.Equal(t, map[string]string{"region": "eu", "endpoint": "https://objects.acme.internal:9000"}, target.Args)
	require.Equal(t, "attic", target.Entry.Name)
	signed, err := s.SignGet("a/c", 0)
	require.NoError(t, err)
	require.Equal(t, "key x/b/c", signed)
	require.Same(t, http.DefaultClient, s.(interface{ Client() *http.Client }).Client())
}

// TestNotAllowed has URLs and names that the example doesn't allow.
func TestNotAllowed(t *testing.T) {
	driver := new(recorder)
	r := newRegistry(t, store.RegistryConfig{
		Entries: example(t), Drivers: map[string]store.Driver{"s3": driver},
	})
	for url, want := range map[string]string{
		"s3://acme-lake/":                                   "no entry allows it",
		"s3://acme-lake/production/":                        "no entry allows it",
		"s3://other/":                                       "no entry allows it",
		"s3://attic/?endpoint=http://169.254.169.254":       "is not the endpoint of the entry",
		"s3://acme-lake/prod/?endpoint=https://other.cloud": "is not the endpoint of the entry",
		"s3://attic/?profile=admin":                         "is not the profile of the entry",
		"gs://acme-archive/":                                `no driver for scheme "gs"`,
		"file:///":                                          "no root for file stores",
		"nobody":                                            "no entry has that name",
		"/x/":                                               "no entry has that name",
	} {
		_, err := r.Resolve(url)
		require.ErrorIs(t, err, store.ErrNotAllowed, url)
		require.ErrorContains(t, err, want, url)
		require.NotContains(t, err.Error(), "169.254")
	}
	require.Empty(t, driver.opened)
	for _, name := range []string{"lake/../../x/", "lake/x", "lake//"} {
		_, err := r.Resolve(name)
		require.Error(t, err, name)
	}
	driver.fail = errors.New("its argument is wrong")
	_, err := r.Open("s3://attic/")
	require.EqualError(t, err, "store s3://attic/: its argument is wrong")
}

// TestBadEntries has files that are refused, by the name of what is wrong.
func TestBadEntries(t *testing.T) {
	for text, want := range map[string]string{
		"stores: [{url: s3://b/, secret: x}]":                        "field secret not found",
		"stores: [{url: s3://b}]":                                    "doesn't begin and end with a slash",
		"stores: [{url: 's3://b/?region=x'}]":                        "has arguments",
		"stores: [{url: 's3:///x/'}]":                                "doesn't name a bucket",
		"stores: [{url: 's3://b@c/'}]":                               "names a user",
		"stores: [{url: 'ftp://b/'}]":                                "is unknown",
		"stores: [{name: Lake, url: s3://b/}]":                       "other characters",
		"stores: [{url: s3://b/}, {url: s3://b/}]":                   "is defined twice",
		"stores: [{name: a, url: s3://b/}, {name: a, url: s3://c/}]": `"a" is defined twice`,
		"stores: [{url: gs://b/, profile: x}]":                       "profile means nothing to a store of scheme gs",
		"stores: [{url: s3://b/, account: x}]":                       "account means nothing to a store of scheme s3",
		"stores: [{url: file:///, addresses: [10.0.0.0/8]}]":         "addresses means nothing",
		"stores: [{url: s3://b/, endpoint: 'http://x'}]":             "plain http",
		"stores: [{url: s3://b/, endpoint: 'https://u:p@x'}]":        "its endpoint is no http or https URL",
		"stores: [{url: s3://b/, addresses: [10.0.0.0]}]":            "ParsePrefix",
		"stores: [{url: azure-ad://t/a/c/, client_id: x}]":           "go together",
		"stores: [{url: azure://c/, account: x}]":                    "go together",
		"stores: []\n---\nstores: []":                                "more than one document",
		"shops: []":                                                  "field shops not found",
		"# " + strings.Repeat("x", 1<<20):                            "longer than",
	} {
		_, err := store.ParseEntries(strings.NewReader(text))
		require.ErrorContains(t, err, want, text)
	}
	entries, err := store.ParseEntries(strings.NewReader(""))
	require.NoError(t, err)
	require.Empty(t, entries)
	_, err = store.ReadEntries(filepath.Join(t.TempDir(), "absent"))
	require.ErrorContains(t, err, "file of stores")
}
