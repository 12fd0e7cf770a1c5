package store

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzEntries: any text is a file of stores of which each can be named, or an error that says nothing of what is secret in it.
func FuzzEntries(f *testing.F) {
	f.Add("stores:\n- name: main\n  url: file:///var/store/\n")
	f.Add("stores:\n- url: s3://bucket/prefix/?endpoint=http://x\n- url: gs://b/\n")
	f.Add("stores: [{url: 'file:///a/'}, {url: 'file:///a/'}]")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := ParseEntries(strings.NewReader(text))
		if err != nil {
			require.Empty(t, entries)
			return
		}
		seen := map[string]bool{}
		for _, e := range entries {
			require.False(t, seen[e.URL], "%q twice", e.URL)
			seen[e.URL] = true
		}
	})
}

// FuzzStoreURL: a URL is that of a store which stays within its prefix, or an error that doesn't quote the secrets in it.
func FuzzStoreURL(f *testing.F) {
	for _, s := range []string{"file:///a/b/", "s3://bucket/p/?profile=x&find=a&replace=b", "gs://b/", "azure-ad://t/c/", "s3://user:secret@b/", "file:///a/../b/", "s3://b/?x=%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		l, err := parseURL(raw)
		if err != nil {
			if u, fine := url.Parse(raw); fine == nil && u.User != nil {
				if secret, ok := u.User.Password(); ok && len(secret) > 8 && !strings.Contains(u.Path+u.Host+u.Scheme, secret) {
					require.NotContains(t, err.Error(), secret)
				}
			}
			return
		}
		require.Contains(t, schemes, l.scheme)
		require.True(t, l.prefix == "" || strings.HasSuffix(l.prefix, "/"))
		require.NotContains(t, strings.Split(l.prefix, "/"), "..")
		require.NotContains(t, l.host, "/")
		again, err := parseURL(raw)
		require.NoError(t, err)
		require.Equal(t, l.base, again.base)
	})
}
