package direct

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const content = "the content of a fragment: 0123456789 abcdefghijklmnopqrstuvwxyz"

// begin is of the fragment that tests read.
const begin = 1000

func fragment(c protocol.CompressionCodec) *protocol.Fragment {
	return &protocol.Fragment{
		Journal: "a/journal", Begin: begin, End: begin + int64(len(content)),
		Sum: protocol.SumOf([]byte(content)), CompressionCodec: c,
	}
}

// encode content as a file of the codec.
func encode(t require.TestingT, c protocol.CompressionCodec, text string) []byte {
	var out bytes.Buffer
	w, err := codec.NewWriter(c, &out)
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

var codecs = []protocol.CompressionCodec{
	protocol.CompressionCodec_NONE, protocol.CompressionCodec_GZIP, protocol.CompressionCodec_ZSTANDARD,
	protocol.CompressionCodec_SNAPPY, protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION,
}

// newStores returns stores that are closed with the test.
func newStores(t *testing.T, cfg Config) *Stores {
	t.Helper()
	s, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// serve a store on loopback.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/a/journal/file?signature=secret"
}

// read all of [offset, end).
func read(t *testing.T, s *Stores, f *protocol.Fragment, url string, offset, end int64) (string, error) {
	t.Helper()
	r, err := s.Open(t.Context(), f, url, offset, end)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

// TestEveryCodecAtEveryOffset: from a store, one that does ranges and one that doesn't, and
// from files.
func TestEveryCodecAtEveryOffset(t *testing.T) {
	root := t.TempDir()
	for _, c := range codecs {
		t.Run(c.String(), func(t *testing.T) {
			file := encode(t, c, content)
			name := filepath.Join(root, c.String())
			require.NoError(t, os.WriteFile(name, file, 0o600))
			plain := func(w http.ResponseWriter, r *http.Request) {
				want := "identity"
				if c == protocol.CompressionCodec_GZIP {
					want = "gzip"
				}
				if got := r.Header.Get("Accept-Encoding"); got != want || r.Proto != "HTTP/1.1" {
					http.Error(w, "Accept-Encoding "+got+" by "+r.Proto, http.StatusBadRequest)
					return
				}
				if c == protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION {
					_, _ = io.WriteString(w, content) // the store decompresses
					return
				}
				_, _ = w.Write(file)
			}
			ranges := func(w http.ResponseWriter, r *http.Request) {
				if c == protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION {
					w.Header().Set("Content-Encoding", "gzip") // or it doesn't
				}
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
			}
			s := newStores(t, Config{FileRoot: root})
			for _, url := range []string{serve(t, plain), serve(t, ranges), "file:///" + c.String()} {
				for from := range len(content) {
					to := from + 1 + (from*7)%(len(content)-from)
					got, err := read(t, s, fragment(c), url, begin+int64(from), begin+int64(to))
					require.NoError(t, err)
					require.Equal(t, content[from:to], got)
				}
				got, err := read(t, s, fragment(c), url, begin, begin+int64(len(content)))
				require.NoError(t, err)
				require.Equal(t, content, got)
			}
		})
	}
}

func TestAPartOfAPlainFileIsAskedFor(t *testing.T) {
	asked := ""
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Range")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	s, f := newStores(t, Config{}), fragment(protocol.CompressionCodec_NONE)
	r, err := s.Open(t.Context(), f, url, begin+5, begin+9)
	require.NoError(t, err)
	defer r.Close()
	require.Equal(t, "bytes=5-8", asked)
	require.EqualValues(t, 4, r.StoredLength())
	require.Zero(t, r.Discarded())

	whole, err := s.Open(t.Context(), f, url, begin, f.GetEnd())
	require.NoError(t, err)
	defer whole.Close()
	require.Empty(t, asked)
	require.EqualValues(t, len(content), whole.StoredLength())
}

func TestWhatIsDiscardedIsCounted(t *testing.T) {
	file := encode(t, protocol.CompressionCodec_ZSTANDARD, content)
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(file) })
	r, err := newStores(t, Config{}).Open(t.Context(), fragment(protocol.CompressionCodec_ZSTANDARD), url, begin+12, begin+20)
	require.NoError(t, err)
	defer r.Close()
	require.EqualValues(t, 12, r.Discarded())
	require.EqualValues(t, len(file), r.StoredLength())
}

// TestWrongContent: whatever a store serves instead, no reader comes to the fragment's end
// with it.
func TestWrongContent(t *testing.T) {
	gz := func(text string) []byte { return encode(t, protocol.CompressionCodec_GZIP, text) }
	for name, c := range map[string]struct {
		codec  protocol.CompressionCodec
		handle func(w http.ResponseWriter)
		want   string
	}{
		"short":       {protocol.CompressionCodec_NONE, func(w http.ResponseWriter) { _, _ = io.WriteString(w, content[1:]) }, "length differs"},
		"long":        {protocol.CompressionCodec_NONE, func(w http.ResponseWriter) { _, _ = io.WriteString(w, content+"x") }, "longer than"},
		"other":       {protocol.CompressionCodec_NONE, func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.ToUpper(content)) }, "SHA-1"},
		"other, gzip": {protocol.CompressionCodec_GZIP, func(w http.ResponseWriter) { _, _ = w.Write(gz(strings.ToUpper(content))) }, "SHA-1"},
		"not gzip":    {protocol.CompressionCodec_GZIP, func(w http.ResponseWriter) { _, _ = io.WriteString(w, content) }, "corrupt GZIP"},
		"truncated":   {protocol.CompressionCodec_GZIP, func(w http.ResponseWriter) { _, _ = w.Write(gz(content)[:30]) }, "corrupt GZIP"},
		"bomb":        {protocol.CompressionCodec_GZIP, func(w http.ResponseWriter) { _, _ = w.Write(gz(strings.Repeat(content, 1000))) }, "longer than"},
		"empty":       {protocol.CompressionCodec_NONE, func(http.ResponseWriter) {}, "length differs"},
		"cut": {protocol.CompressionCodec_NONE, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "64")
			_, _ = io.WriteString(w, content[:9])
		}, "EOF"},
		"gone":    {protocol.CompressionCodec_NONE, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, "HTTP status 404"},
		"expired": {protocol.CompressionCodec_NONE, func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, "HTTP status 403"},
		"a part":  {protocol.CompressionCodec_NONE, func(w http.ResponseWriter) { w.WriteHeader(http.StatusPartialContent) }, "HTTP status 206"},
		"brotli":  {protocol.CompressionCodec_NONE, func(w http.ResponseWriter) { w.Header().Set("Content-Encoding", "br") }, `encoded it by "br"`},
		"wrong offload": {protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION, func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, content)
		}, "corrupt GZIP"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) { c.handle(w) })
			got, err := read(t, newStores(t, Config{}), fragment(c.codec), url, begin, begin+int64(len(content)))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "fragment [1000, 1064) of a/journal at offset 10")
			require.NotContains(t, err.Error(), "secret")
			require.Less(t, len(got), len(content))
		})
	}
}

// TestWrongParts: of what a store says about a part that it was asked for.
func TestWrongParts(t *testing.T) {
	for header, want := range map[string]string{
		"":                  `Content-Range ""`,
		"bytes 6-20/64":     "from byte 6 on (expected 5)",
		"bytes 5-20/65":     "length differs",
		"bytes */64":        "Content-Range",
		"bytes 5-63/64":     "",
		"bytes 5-63/64 and": "",
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", header)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, content[5:])
		})
		got, err := read(t, newStores(t, Config{}), fragment(protocol.CompressionCodec_NONE), url, begin+5, begin+int64(len(content)))
		if want == "" {
			require.NoError(t, err)
			require.Equal(t, content[5:], got)
			continue
		}
		require.ErrorContains(t, err, want)
	}
}

// TestAnyDamageIsAnError flips a bit of a file: nothing wrong comes to the fragment's end.
func TestAnyDamageIsAnError(t *testing.T) {
	root := t.TempDir()
	s := newStores(t, Config{FileRoot: root})
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(codecs).Draw(t, "codec")
		file := encode(t, c, content)
		bit := rapid.IntRange(0, 8*len(file)-1).Draw(t, "bit")
		file[bit/8] ^= 1 << (bit % 8)
		require.NoError(t, os.WriteFile(filepath.Join(root, "file"), file, 0o600))
		f := fragment(c)
		r, err := s.Open(context.Background(), f, "file:///file", f.GetBegin(), f.GetEnd())
		if err != nil {
			return
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if err == nil { // a bit that means nothing, such as a name's in a gzip header
			require.Equal(t, content, string(got))
			return
		}
		_, ok := errors.AsType[*Error](err)
		require.True(t, ok)
		require.Less(t, len(got), len(content))
	})
}

func TestFilesStayBelowTheRoot(t *testing.T) {
	root := t.TempDir()
	f := fragment(protocol.CompressionCodec_NONE)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "in", "dir"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(root, "secret"), []byte(content), 0o600))
	require.NoError(t, os.Symlink("../secret", filepath.Join(root, "in", "link")))
	require.NoError(t, os.WriteFile(filepath.Join(root, "in", "with space"), []byte(content), 0o600))
	s := newStores(t, Config{FileRoot: filepath.Join(root, "in")})
	for url, want := range map[string]string{
		"file:///../secret":        "escapes",
		"file:///dir/../../secret": "escapes",
		"file:///link":             "escapes",
		"file:///dir":              "isn't a regular file",
		"file:///missing":          "no such file",
	} {
		_, err := read(t, s, f, url, f.GetBegin(), f.GetEnd())
		require.ErrorContains(t, err, want, url)
	}
	got, err := read(t, s, f, "file:///with%20space", f.GetBegin(), f.GetEnd())
	require.NoError(t, err)
	require.Equal(t, content, got)
}

func TestWhatCannotBeRead(t *testing.T) {
	s, f := newStores(t, Config{}), fragment(protocol.CompressionCodec_NONE)
	for url, want := range map[string]string{
		"": "no URL", "%zz": "no URL", "s3://bucket/file": `scheme "s3"`, "file:///file": "no root of files",
	} {
		_, err := read(t, s, f, url, f.GetBegin(), f.GetEnd())
		require.ErrorIs(t, err, ErrUnsupported)
		require.ErrorContains(t, err, want)
	}
	for _, r := range [][2]int64{{begin - 1, begin + 1}, {begin, begin}, {begin, begin + 1000}} {
		_, err := read(t, s, f, "http://127.0.0.1:1/", r[0], r[1])
		require.ErrorContains(t, err, "isn't within it")
	}
	_, err := read(t, s, f, "http://127.0.0.1:1/?signature=secret", f.GetBegin(), f.GetEnd())
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "secret")
	_, err = New(Config{Stall: -1})
	require.ErrorContains(t, err, "stall")
	f.CompressionCodec = protocol.CompressionCodec_INVALID
	_, err = read(t, s, f, serve(t, func(http.ResponseWriter, *http.Request) {}), f.GetBegin(), f.GetEnd())
	require.ErrorContains(t, err, "no reader for compression codec")
}

// TestASilentStoreIsAnError, before its answer and within.
func TestASilentStoreIsAnError(t *testing.T) {
	for _, sent := range []string{"", content[:10]} {
		synctest.Test(t, func(t *testing.T) {
			s := newStores(t, Config{})
			s.http.Transport = silent(sent)
			f := fragment(protocol.CompressionCodec_NONE)
			began := time.Now()
			got, err := read(t, s, f, "http://store/a/journal/file", f.GetBegin(), f.GetEnd())
			require.ErrorIs(t, err, ErrStalled)
			require.Equal(t, sent, got)
			require.ErrorContains(t, err, fmt.Sprintf("at offset %d", begin+len(sent)))
			require.Equal(t, defaultStall, time.Since(began))
		})
	}
}

// silent is a store that sends some content, if any, and then nothing.
type silent string

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if s == "" {
		<-r.Context().Done()
		return nil, context.Cause(r.Context())
	}
	body, sends := io.Pipe()
	go func() {
		_, _ = io.WriteString(sends, string(s))
		<-r.Context().Done()
		sends.CloseWithError(context.Cause(r.Context()))
	}()
	return &http.Response{StatusCode: http.StatusOK, Request: r, Body: body, ContentLength: -1}, nil
}

func TestReadersEndWithTheirContextAndByClose(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, content[:10])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	s, f := newStores(t, Config{}), fragment(protocol.CompressionCodec_NONE)
	cause := errors.New("statement canceled")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := s.Open(ctx, f, url, f.GetBegin(), f.GetEnd())
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 10))
	require.NoError(t, err)
	cancel(cause)
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, cause)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())

	r, err = s.Open(t.Context(), f, url, f.GetBegin(), f.GetEnd())
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.ErrorContains(t, err, "reader is closed")
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != "HTTP/1.1" {
			http.Error(w, r.Proto, http.StatusBadRequest)
			return
		}
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, content)
		_ = zip.Close()
	}))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	f := fragment(protocol.CompressionCodec_GZIP)
	got, err := read(t, newStores(t, Config{TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}), f, server.URL, f.GetBegin(), f.GetEnd())
	require.NoError(t, err)
	require.Equal(t, content, got)
}
