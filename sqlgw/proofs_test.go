package sqlgw

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the protocol's checksum
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/protocol"
)

// logLines counts what is logged.
type logLines struct {
	mu  sync.Mutex
	out strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logLines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.out.String(), "\n")
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// storedFile writes a content as a stored fragment.
func storedFile(t *testing.T, content string, c protocol.CompressionCodec) (fragments.Fragment, string) {
	t.Helper()
	var file bytes.Buffer
	w, err := codec.NewWriter(c, &file)
	require.NoError(t, err)
	_, err = w.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	path := filepath.Join(t.TempDir(), "fragment")
	require.NoError(t, os.WriteFile(path, file.Bytes(), 0o600))
	return fragments.Fragment{
		Begin: 1000, End: 1000 + int64(len(content)), Codec: c,
		Sum: sha1.Sum([]byte(content)), //nolint:gosec // the protocol's checksum
	}, path
}

// ask asks for a proof until it is known, while run proves.
func ask(t *testing.T, p *proofs, f fragments.Fragment, path string) columnar.Proof {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	schema := testSchema()
	var proof columnar.Proof
	require.Eventually(t, func() bool {
		var known bool
		proof, known = p.get(f, path, schema, schema.Fingerprint())
		return known
	}, time.Minute, 100*time.Microsecond)
	cancel()
	require.NoError(t, <-ended)
	return proof
}

func TestProofOfAGoodFile(t *testing.T) {
	for _, c := range []protocol.CompressionCodec{
		protocol.CompressionCodec_NONE, protocol.CompressionCodec_GZIP, protocol.CompressionCodec_ZSTANDARD,
	} {
		var l logLines
		p := newProofs(l.logger(), "")
		f, path := storedFile(t, "{\"a\":1}\n{\"a\":2}\n", c)
		proof := ask(t, p, f, path)
		require.True(t, proof.Clean, c)
		require.True(t, proof.EndsInNewline)
		require.Equal(t, int64(2), proof.Rows)

		f, path = storedFile(t, "{\"a\":1}\n{\"a\":\"x\"}\n", c)
		proof = ask(t, p, f, path)
		require.False(t, proof.Clean, "it has a reject")
		require.Zero(t, l.count())
	}
}

// TestProofIsAskedOnce: however often it is met, a fragment is proven once, and a schema's
// proof isn't another's.
func TestProofIsAskedOnce(t *testing.T) {
	p := newProofs(slog.New(slog.DiscardHandler), "")
	f, path := storedFile(t, "{\"a\":1}\n", protocol.CompressionCodec_NONE)
	schema := testSchema()
	for range 3 {
		_, known := p.get(f, path, schema, schema.Fingerprint())
		require.False(t, known)
	}
	require.Len(t, p.queue, 1)
	p.get(f, path, schema, schema.Fingerprint()+1)
	shorter := f
	shorter.End--
	p.get(shorter, path, schema, schema.Fingerprint())
	require.Len(t, p.queue, 3)
	ask(t, p, f, path)
	require.NotContains(t, p.asked, keyOf(f, schema.Fingerprint()))
}

// TestProofQueueIsBounded: what doesn't fit is asked for again later.
func TestProofQueueIsBounded(t *testing.T) {
	p := newProofs(slog.New(slog.DiscardHandler), "")
	for i := range int64(maxQueued + 10) {
		p.get(fragments.Fragment{Begin: i, End: i + 1}, "", testSchema(), 1)
	}
	require.Len(t, p.queue, maxQueued)
	require.Len(t, p.asked, maxQueued)
}

// TestProofOfADamagedFile: it isn't clean, the log says so once, and it isn't read again.
func TestProofOfADamagedFile(t *testing.T) {
	const content = "{\"a\":1}\n{\"a\":2}\n"
	damage := map[string]func(f *fragments.Fragment, path string){
		"missing": func(_ *fragments.Fragment, path string) { require.NoError(t, os.Remove(path)) },
		"a bit flipped": func(_ *fragments.Fragment, path string) {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			b[len(b)/2] ^= 1
			require.NoError(t, os.WriteFile(path, b, 0o600))
		},
		"cut": func(_ *fragments.Fragment, path string) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(path, info.Size()-1))
		},
		"empty":       func(_ *fragments.Fragment, path string) { require.NoError(t, os.Truncate(path, 0)) },
		"too short":   func(f *fragments.Fragment, _ string) { f.End++ },
		"too long":    func(f *fragments.Fragment, _ string) { f.End-- },
		"another sum": func(f *fragments.Fragment, _ string) { f.Sum[0] ^= 1 },
	}
	for name, harm := range damage {
		for _, c := range []protocol.CompressionCodec{protocol.CompressionCodec_NONE, protocol.CompressionCodec_GZIP, protocol.CompressionCodec_ZSTANDARD} {
			var l logLines
			dir := t.TempDir()
			p := newProofs(l.logger(), dir)
			f, path := storedFile(t, content, c)
			harm(&f, path)
			require.Equal(t, columnar.Proof{}, ask(t, p, f, path), "%s, %v", name, c)
			require.Equal(t, 1, l.count(), "%s, %v: %s", name, c, l.out.String())
			require.Equal(t, columnar.Proof{}, ask(t, p, f, path))
			require.Equal(t, 1, l.count())
			kept, err := os.ReadFile(filepath.Join(dir, proofFileName))
			require.NoError(t, err)
			require.Len(t, kept, len(proofMagic)+1, "what may be whole tomorrow isn't remembered")
		}
	}
}
