package pgwire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// These tests are of sessions that wait for clients that don't read. Over a pipe, a client
// that has read a part of what was written knows that the server is in the middle of it.

const pipeVersion = protocol3

func startPiped(t *testing.T, cfg Config) (*testServer, *pipeListener) {
	t.Helper()
	ln := listenPipe()
	return startServerOn(t, cfg, ln), ln
}

func pipeSession(t *testing.T, ln *pipeListener) *wireClient {
	t.Helper()
	c := ln.dial(t)
	require.Contains(t, c.start(pipeVersion, map[string]string{"user": "u"}), "ReadyForQuery I")
	return c
}

// cancelPiped asks to cancel what a session does.
func cancelPiped(t *testing.T, ln *pipeListener, c *wireClient) {
	t.Helper()
	other := ln.dial(t)
	other.send(cancelPacket(c.key.ProcessID, c.key.SecretKey))
	require.Equal(t, "closed\n", other.until('Z', 1))
}

func (s *testServer) await(t *testing.T, event string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := s.backend.events.take(ctx, event)
	require.NoError(t, err)
	return got
}

// readSome reads bytes, so that the server is known to be writing.
func readSome(t *testing.T, c *wireClient, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	return b
}

// kinds are the types of the messages in a stream, which has to be whole; repeated ones are
// told once.
func kinds(t *testing.T, b []byte) string {
	t.Helper()
	var out strings.Builder
	for len(b) > 0 {
		require.GreaterOrEqual(t, len(b), 5, "a torn message")
		n := int(binary.BigEndian.Uint32(b[1:])) + 1
		require.GreaterOrEqual(t, len(b), n, "a torn message")
		require.NotContains(t, describeMessage(b[0], b[5:n]), "FAILED")
		if !strings.HasSuffix(out.String(), string(b[0])) {
			out.WriteByte(b[0])
		}
		b = b[n:]
	}
	return out.String()
}

// readTo reads the rest of an answer.
func readTo(t *testing.T, c *wireClient, got []byte, ends func([]byte) bool) []byte {
	t.Helper()
	buf := make([]byte, 64<<10)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	for !ends(got) {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		require.NoError(t, err)
	}
	return got
}

func endsInReady(b []byte) bool { return strings.HasSuffix(string(b), "Z\x00\x00\x00\x05I") }

// TestCancelEndsABlockedWrite: the session is free at once, though its client reads nothing;
// whenever the client does, it gets whole messages, and knows of the cancel.
func TestCancelEndsABlockedWrite(t *testing.T) {
	for _, verb := range []struct{ query, want string }{
		{"!flood 1000", "TDEZ"},
		{"!copy-flood 1000", "HdEZ"},
		{"!flood-deaf 1000", "TDEZ"},
		{"!flood 100000", "TDEZ"},
		{"!flood 1", "TDEZ"},
	} {
		t.Run(verb.query, func(t *testing.T) {
			s, ln := startPiped(t, Config{})
			c := pipeSession(t, ln)
			b, _ := encodeAll(t, `Query "`+verb.query+`"`)
			c.send(b)
			got := readSome(t, c, 40) // in the first or second message
			cancelPiped(t, ln, c)
			require.Contains(t, s.await(t, "flood ends"), "57014")
			got = readTo(t, c, got, endsInReady)
			require.Equal(t, verb.want, kinds(t, got))
			require.Less(t, len(got), flushAt+100_000+2000, "no more than was in the buffer")
			require.Contains(t, string(got), "57014")
			require.Contains(t, c.ask(t, `Query "select 1"`), `DataRow "1"`)
		})
	}
}

// TestSlowReaderStopsItsSession: what isn't read is held once.
func TestSlowReaderStopsItsSession(t *testing.T) {
	s, ln := startPiped(t, Config{})
	c := pipeSession(t, ln)
	b, _ := encodeAll(t, `Query "!flood 100"`)
	c.send(b)
	got := readSome(t, c, 1)
	cancelPiped(t, ln, c)
	s.await(t, "flood ends")
	got = readTo(t, c, got, endsInReady)
	require.Equal(t, "TDEZ", kinds(t, got))
	require.Less(t, len(got), flushAt+1000)
}

// TestShutdownEndsABlockedWrite: Serve waits no longer than for last words.
func TestShutdownEndsABlockedWrite(t *testing.T) {
	s, ln := startPiped(t, Config{})
	flooded, asked := pipeSession(t, ln), pipeSession(t, ln)
	b, _ := encodeAll(t, `Query "!flood 1000"`)
	flooded.send(b)
	readSome(t, flooded, 40)
	// This one has its answer ready, and doesn't take it.
	b, _ = encodeAll(t, `Query "!rows 1000"`)
	asked.send(b)
	readSome(t, asked, 40)
	began := time.Now()
	require.NoError(t, s.stop())
	require.Less(t, time.Since(began), lastWords+patience/2)
	require.Contains(t, s.await(t, "flood ends"), "57P01")
}

// TestShutdownTellsASlowReader: a client that reads on after all gets whole messages, and is
// told why there are no more.
func TestShutdownTellsASlowReader(t *testing.T) {
	s, ln := startPiped(t, Config{})
	c := pipeSession(t, ln)
	b, _ := encodeAll(t, `Query "!flood 1000"`)
	c.send(b)
	got := readSome(t, c, 40)
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	require.Contains(t, s.await(t, "flood ends"), "57P01")
	rest, err := io.ReadAll(c)
	require.NoError(t, err)
	got = append(got, rest...)
	require.Equal(t, "TDE", kinds(t, got))
	require.Contains(t, string(got), "57P01")
	require.NoError(t, <-stopped)
}

// TestDisconnectEndsABlockedWrite also without a socket.
func TestDisconnectEndsABlockedWrite(t *testing.T) {
	s, ln := startPiped(t, Config{})
	c := pipeSession(t, ln)
	b, _ := encodeAll(t, `Query "!flood 1000"`)
	c.send(b)
	readSome(t, c, 40)
	require.NoError(t, c.Close())
	require.Contains(t, s.await(t, "flood ends"), "the client is gone")
	s.await(t, "session closed")
}

// TestCancelStorm: cancels at any time, over sockets, tear nothing and hit nothing but the
// call that runs.
func TestCancelStorm(t *testing.T) {
	s := startTCP(t, Config{})
	victim, other := session(t, s.address()), session(t, s.address())
	done := make(chan error, 1)
	go func() {
		var err error
		for range 200 {
			err = errors.Join(err, requestCancel(s.address(), victim.key.ProcessID, victim.key.SecretKey))
		}
		done <- err
	}()
	cancelled := 0
	for storm := true; storm; {
		select {
		case err := <-done:
			require.NoError(t, err)
			storm = false
		default:
		}
		got := victim.ask(t, `Query "!rows 3000"`)
		require.NotContains(t, got, "FAILED")
		if strings.Contains(got, "57014") {
			cancelled++
		} else {
			require.Equal(t, 3000, strings.Count(got, "DataRow"))
			require.Contains(t, got, "CommandComplete")
		}
		require.Contains(t, other.ask(t, `Query "select 1"`), `DataRow "1"`)
	}
	t.Logf("%d calls were cancelled", cancelled)
	// All cancels have been answered: none may come later.
	require.Equal(t, 3000, strings.Count(victim.ask(t, `Query "!rows 3000"`), "DataRow"))
}

// TestClientGoneOverTCP: closing, and resetting, end a call that neither reads nor writes,
// however much was sent and not read.
func TestClientGoneOverTCP(t *testing.T) {
	for _, reset := range []bool{false, true} {
		s := startTCP(t, Config{})
		c := session(t, s.address())
		b, _ := encodeAll(t, `Query "!block"`)
		c.send(append(b, make([]byte, 4000)...))
		s.await(t, "block begins")
		if reset {
			require.NoError(t, c.Conn.(interface{ SetLinger(sec int) error }).SetLinger(0))
		}
		require.NoError(t, c.Close())
		require.Contains(t, s.await(t, "block ends"), "the client is gone")
		s.await(t, "session closed")
	}
}
