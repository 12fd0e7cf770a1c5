package pgwire

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scriptedConn is a client that says all it has to say, in pieces of a size, and then is gone.
type scriptedConn struct {
	says  *bytes.Reader
	piece int
	heard bytes.Buffer
}

func (c *scriptedConn) Read(p []byte) (int, error) {
	if c.piece > 0 {
		p = p[:min(len(p), c.piece)]
	}
	return c.says.Read(p)
}

func (c *scriptedConn) Write(p []byte) (int, error)      { return c.heard.Write(p) }
func (c *scriptedConn) Close() error                     { return nil }
func (c *scriptedConn) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (c *scriptedConn) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *scriptedConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptedConn) SetWriteDeadline(time.Time) error { return nil }

// converse serves one connection, in this goroutine, and returns what the client heard.
func converse(t *testing.T, statements []known, says []byte, piece int) []byte {
	t.Helper()
	backend := &fakeBackend{known: statements, plain: true}
	server, err := New(Config{Backend: backend, Logger: slog.New(slog.NewTextHandler(failOnPanic{t}, nil)), MaxMessage: 1 << 16, MaxPrepared: 10})
	require.NoError(t, err)
	nc := &scriptedConn{says: bytes.NewReader(says), piece: piece}
	c := newConn(context.Background(), &server.cfg, server.pool, nc)
	server.connection(c, func() {})
	require.Empty(t, server.sessions)
	opened, closed := 0, 0
	for _, e := range backend.events.rest() {
		if strings.HasPrefix(e, "open ") {
			opened++
		}
		if e == "session closed" {
			closed++
		}
	}
	require.Equal(t, opened, closed)
	return nc.heard.Bytes()
}

// failOnPanic takes the log.
type failOnPanic struct{ t *testing.T }

func (f failOnPanic) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("panicked")) {
		f.t.Errorf("%s", p)
	}
	return len(p), nil
}

// checkHeard fails unless a server sent answers to encryption requests and then messages, all
// of them whole.
func checkHeard(t *testing.T, heard []byte) {
	t.Helper()
	for len(heard) > 0 && heard[0] == 'N' && (len(heard) < 5 || heard[1] != 0) {
		heard = heard[1:]
	}
	if bytes.HasPrefix(heard, []byte("EFATAL:  unsupported frontend protocol")) {
		return
	}
	kinds(t, heard)
}

// FuzzStartup: no first packet of a connection does harm.
func FuzzStartup(f *testing.F) {
	for _, phrase := range []string{
		"Startup 3.0 user=u database=d application_name=x", "Startup 3.2 user=u _pq_.x=y", "Startup 3.9 user=u", "Startup 2.0", "Startup 4.0",
		"SSLRequest", "GSSENCRequest", "Raw 00000010 04d2162e 00000001 00000002", "Raw 00000008 00030000", `Raw 0000000a 00030000 0000`,
	} {
		b, err := encodePhrase(phrase)
		require.NoError(f, err)
		f.Add(b, 0)
		f.Add(append([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}, b...), 8)
	}
	f.Fuzz(func(t *testing.T, says []byte, piece int) {
		checkHeard(t, converse(t, nil, says, piece))
	})
}

// FuzzMessages: no stream of messages does harm, or has more than whole messages for an
// answer.
func FuzzMessages(f *testing.F) {
	startup, err := encodePhrase("Startup 3.0 user=u")
	require.NoError(f, err)
	for _, dir := range []string{"postgres", "broadsheet"} {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txt"))
		require.NoError(f, err)
		require.NotEmpty(f, files)
		for _, file := range files {
			f.Add(said(f, file), 0)
		}
	}
	statements := learn()
	f.Fuzz(func(t *testing.T, says []byte, piece int) {
		heard := converse(t, statements, append(bytes.Clone(startup), says...), piece)
		require.True(t, bytes.HasPrefix(heard, []byte("R\x00\x00\x00\x08\x00\x00\x00\x00")))
		checkHeard(t, heard)
	})
}

// said is what the clients of a scenario send, but for the end.
func said(f *testing.F, file string) []byte {
	f.Helper()
	text, err := os.ReadFile(file)
	require.NoError(f, err)
	var out []byte
	for line := range strings.Lines(string(text)) {
		first, _, _ := strings.Cut(line, " ")
		if first == "Startup" || first == "SSLRequest" || first == "Terminate" {
			continue
		}
		if b, err := encodePhrase(strings.TrimSpace(line)); err == nil {
			out = append(out, b...)
		}
	}
	return out
}

// TestGoroutinesEnd also through Serve, with many clients that say anything.
func TestGoroutinesEnd(t *testing.T) {
	s := startServer(t, Config{})
	garbage := []string{"", "\x00", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", strings.Repeat("\xff", 20000), "\x00\x00\x00\x08\x04\xd2\x16\x2f"}
	for _, g := range garbage {
		c := dial(t, s.address())
		c.send([]byte(g))
		if g != "" && len(g) < 9 {
			require.NoError(t, c.Close())
			continue
		}
		require.NoError(t, c.Conn.(interface{ CloseWrite() error }).CloseWrite())
		_, _ = io.Copy(io.Discard, c)
	}
	require.NoError(t, s.stop())
}
