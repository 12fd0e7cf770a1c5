package store_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
)

// TestURLs opens the URLs of testdata/urls, under rules.
func TestURLs(t *testing.T) {
	datadriven.RunTest(t, "testdata/urls", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		config := store.RegistryConfig{FileRoot: t.TempDir()}
		for _, arg := range d.CmdArgs {
			switch arg.Key {
			case "no-root":
				config.FileRoot = ""
			case "allow":
				for _, url := range arg.Vals {
					config.Entries = append(config.Entries, store.Entry{URL: url})
				}
			}
		}
		r := newRegistry(t, config)
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			url := strings.TrimSpace(line)
			s, err := r.Open(url)
			if err != nil {
				if errors.Is(err, store.ErrNotAllowed) {
					out.WriteString("not allowed: ")
				}
				out.WriteString(err.Error() + "\n")
				continue
			}
			require.Same(t, s, openStore(t, r, url))
			signed, err := s.SignGet("a/journal/0.raw", 0)
			require.NoError(t, err)
			out.WriteString(signed + "\n")
		}
		return out.String()
	})
}

func TestConfig(t *testing.T) {
	for want, config := range map[string]store.RegistryConfig{
		`"file:///a"`:               {Entries: []store.Entry{{URL: "file:///"}, {URL: "file:///a"}}},
		`"/"`:                       {Entries: []store.Entry{{URL: "/"}}},
		"less than 0":               {PartialAge: -1},
		"without the root":          {FS: fsOnly{}},
		"root of the file stores: ": {FileRoot: filepath.Join(t.TempDir(), "absent")},
	} {
		_, err := store.NewRegistry(config)
		require.ErrorContains(t, err, want)
	}
}

type fsOnly struct{ store.FS }

// TestURLErrorsKeepSecrets demands that nothing of a URL that may be a credential is
// told, however wrong the URL is.
func TestURLErrorsKeepSecrets(t *testing.T) {
	r := newRegistry(t, store.RegistryConfig{FileRoot: t.TempDir()})
	for _, url := range []string{
		"file://user:SECRET@/", "file://SECRET@host/", "file:///?key=SECRET", "file:///?find=a&find=SECRET",
		"file:///?find=%zzSECRET", "file:///#SECRET", "s3://key:SECRET@bucket/", "://SECRET", "file:///\x7fSECRET/",
		"file:///?replace=SECRET", "x:SECRET@x", "gs://b/?token=SECRET", "file:///?a;SECRET",
	} {
		_, err := r.Open(url)
		require.Error(t, err, "%q", url)
		require.NotContains(t, err.Error(), "SECRET", "%q", url)
		require.NotContains(t, strings.ToUpper(err.Error()), "SECRET", "%q", url)
	}
}
