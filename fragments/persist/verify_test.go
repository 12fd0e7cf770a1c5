package persist_test

import (
	"crypto/sha1" //nolint:gosec // fragments are named by it
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/fragments/persist"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/storetest"
	"broadsheet.dev/broadsheet/protocol"
)

// TestExistingObject has the object in the store already, as another broker would
// compress it, and not synced: it is read, and kept for good.
func TestExistingObject(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.String(), func(t *testing.T) {
			fs := storetest.NewCrashFS()
			b := newBench(t, fs)
			// In two members.
			create(t, fs, completed(c, text).ContentPath(), compress(t, c, text[:100])+compress(t, c, text[100:]))
			got, err := b.Persist(t.Context(), spec(), completed(c, text))
			require.NoError(t, err)
			b.requireStored(t, got, text)
			newBench(t, fs.Crash(storetest.LoseAll)).requireStored(t, got, text)
			b.requireMetric(t, "gazette_spool_persisted_total", 1)
		})
	}
}

// create makes a file of a file store and syncs nothing.
func create(tb testing.TB, fs store.FS, path, content string) {
	tb.Helper()
	for dir, rest := "", filepath.Dir(path); rest != ""; {
		elem, below, _ := strings.Cut(rest, "/")
		dir, rest = filepath.Join(dir, elem), below
		require.NoError(tb, fs.Mkdir(dir))
	}
	f, err := fs.Create(path)
	require.NoError(tb, err)
	_, err = io.WriteString(f, content)
	require.NoError(tb, errors.Join(err, f.Close()))
}

func compress(tb testing.TB, c protocol.CompressionCodec, content string) string {
	tb.Helper()
	var b strings.Builder
	w, err := codec.NewWriter(c, &b)
	require.NoError(tb, err)
	_, err = io.WriteString(w, content)
	require.NoError(tb, errors.Join(err, w.Close()))
	return b.String()
}

// TestExistingObjectIsAnother has other bytes under the fragment's name. That is no
// success, isn't tried again, names the object, and leaves it as it is.
func TestExistingObjectIsAnother(t *testing.T) {
	flipped := text[:777] + "X" + text[778:]
	for _, c := range codecs {
		for name, object := range map[string]string{
			"other content": compress(t, c, flipped),
			"shorter":       compress(t, c, text[1:]),
			"longer":        compress(t, c, text+"\n"),
			"a bomb":        compress(t, c, strings.Repeat("\x00", 32<<20)),
			"empty":         "",
			"cut":           compress(t, c, text)[:len(compress(t, c, text))-3],
			"garbage":       strings.Repeat("garbage", len(text)/7),
		} {
			t.Run(c.String()+" "+name, func(t *testing.T) {
				fs := storetest.NewCrashFS()
				b := newBench(t, fs)
				want := completed(c, text)
				create(t, fs, want.ContentPath(), object)
				_, err := b.Persist(t.Context(), spec(), want)
				var damaged *persist.IntegrityError
				require.ErrorAs(t, err, &damaged)
				require.ErrorContains(t, err, fmt.Sprintf("object %q of store file:///", want.ContentPath()))
				require.Equal(t, want.Begin, damaged.Fragment.Begin)
				b.requireMetric(t, "broadsheet_persist_integrity_errors_total", 1)
				b.requireMetric(t, "broadsheet_persist_retries_total", 0)
				b.requireMetric(t, "gazette_spool_persisted_total", 0)

				s, err := b.stores.Open("file:///")
				require.NoError(t, err)
				r, err := s.Get(t.Context(), want.ContentPath())
				require.NoError(t, err)
				left, err := io.ReadAll(r)
				require.NoError(t, errors.Join(err, r.Close()))
				require.Equal(t, sha1.Sum([]byte(object)), sha1.Sum(left), "the object was changed") //nolint:gosec // see the import
			})
		}
	}
}

// TestDamagedSpool has a spool whose bytes aren't those that were acknowledged:
// they don't reach the store, but what is there is believed if its sum is right.
func TestDamagedSpool(t *testing.T) {
	for _, c := range codecs {
		for name, content := range map[string]string{
			"flipped": text[:777] + "X" + text[778:],
			"cut":     text[:len(text)-1],
			"empty":   "",
		} {
			t.Run(c.String()+" "+name, func(t *testing.T) {
				fs := storetest.NewCrashFS()
				b := newBench(t, fs)
				bad := completed(c, text)
				bad.Content = spooled{begin: begin, r: strings.NewReader(content)}
				_, err := b.Persist(t.Context(), spec(), bad)
				var damaged *persist.IntegrityError
				require.ErrorAs(t, err, &damaged)
				require.Equal(t, "spool", damaged.Object)
				require.Empty(t, fs.Files())
				b.requireMetric(t, "broadsheet_persist_integrity_errors_total", 1)

				_, err = b.Persist(t.Context(), spec(), completed(c, text))
				require.NoError(t, err)
				got, err := b.Persist(t.Context(), spec(), bad)
				require.NoError(t, err)
				b.requireStored(t, got, text)
			})
		}
	}
}
