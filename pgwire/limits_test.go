package pgwire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfigIsValidated(t *testing.T) {
	good := Config{Backend: &fakeBackend{}, Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, good.Validate())
	for name, spoil := range map[string]func(*Config){
		"a Backend":             func(c *Config) { c.Backend = nil },
		"a Logger":              func(c *Config) { c.Logger = nil },
		"MaxSessions":           func(c *Config) { c.MaxSessions = -1 },
		"MaxStarting":           func(c *Config) { c.MaxStarting = -1 },
		"StartupTimeout":        func(c *Config) { c.StartupTimeout = -1 },
		"MaxMessage":            func(c *Config) { c.MaxMessage = 1 << 30 },
		"MaxRow":                func(c *Config) { c.MaxRow = 1 << 30 },
		"MaxPerAddress":         func(c *Config) { c.MaxPerAddress = -1 },
		"MaxStartingPerAddress": func(c *Config) { c.MaxStartingPerAddress = -1 },
		"MaxPrepared":           func(c *Config) { c.MaxPrepared = -1 },
		"MaxPreparedBytes":      func(c *Config) { c.MaxPreparedBytes = -1 },
	} {
		bad := good
		spoil(&bad)
		require.ErrorContains(t, bad.Validate(), strings.TrimPrefix(name, "a "))
		_, err := New(bad)
		require.Error(t, err)
	}
}

// TestTooManyStarting: connections that don't begin take no more than their places, and
// leave those of sessions alone.
func TestTooManyStarting(t *testing.T) {
	s := startServer(t, Config{MaxStarting: 2})
	var begun *wireClient
	for range 5 { // sessions don't count
		begun = session(t, s.address())
	}
	silent, half := dial(t, s.address()), dial(t, s.address())
	half.send([]byte{0, 0, 0, 99, 0, 3})
	silent.send([]byte{0})
	var last *wireClient
	require.Eventually(t, func() bool { // both were accepted
		last = dial(t, s.address())
		return strings.Contains(last.until('Z', 1), "FATAL 53300 sorry, too many clients already")
	}, patience, time.Millisecond)
	require.Contains(t, begun.ask(t, `Query "select 1"`), `DataRow "1"`)
	require.NoError(t, silent.Close())
	require.Eventually(t, func() bool {
		c := dial(t, s.address())
		return strings.Contains(c.start(protocol3, map[string]string{"user": "u"}), "ReadyForQuery")
	}, patience, time.Millisecond)
}

// TestAPlaceIsFreeWhenAllIsReleased, and not before.
func TestAPlaceIsFreeWhenAllIsReleased(t *testing.T) {
	closing, release := make(chan struct{}), make(chan struct{})
	s := startServer(t, Config{MaxSessions: 1, Backend: &fakeBackend{closing: func() {
		close(closing)
		<-release
	}}})
	require.NoError(t, session(t, s.address()).Close())
	<-closing
	require.Contains(t, dial(t, s.address()).start(protocol3, map[string]string{"user": "u"}), "53300")
	close(release)
}

// TestNoConnectionBeginsAfterTheEnd: one that was accepted in the last moment.
func TestNoConnectionBeginsAfterTheEnd(t *testing.T) {
	all := &connections{conns: map[*conn]struct{}{}}
	c := newConn(t.Context(), &Config{}, newPool(), silence{})
	require.True(t, all.add(c))
	all.shutDown()
	require.ErrorIs(t, context.Cause(c.life.ctx), errShutdown)
	require.False(t, all.add(newConn(t.Context(), &Config{}, newPool(), silence{})))
}

// TestStartupTimeout: a connection that is no session in time is closed, at whatever step.
func TestStartupTimeout(t *testing.T) {
	steps := map[string][]byte{
		"silent":      nil,
		"half":        {0, 0, 0, 99, 0, 3},
		"SSL":         {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f},
		"no end":      append([]byte{0, 0, 0, 40, 0, 3, 0, 0}, "user\x00u\x00"...),
		"half cancel": {0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0},
	}
	for name, sent := range steps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, ln := startPiped(t, Config{})
				began := time.Now()
				c := ln.dial(t)
				c.send(sent)
				if name == "SSL" {
					require.Equal(t, "N", string(readSome(t, c, 1)))
				}
				require.Equal(t, "closed\n", c.until('Z', 1))
				require.Equal(t, 10*time.Second, time.Since(began))
			})
		})
	}
}

// TestStartupTimeoutOfTheBackend: opening a session is bounded too, and the client is told.
func TestStartupTimeoutOfTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ln := startPiped(t, Config{StartupTimeout: time.Second, Backend: &fakeBackend{open: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}})
		c := ln.dial(t)
		require.Contains(t, c.start(protocol3, map[string]string{"user": "u"}), "FATAL 57014 canceling authentication due to timeout")
	})
}

// TestShutdownDuringStartup: a client that is about to begin is told that it can't.
func TestShutdownDuringStartup(t *testing.T) {
	opening := make(chan struct{})
	s := startServer(t, Config{Backend: &fakeBackend{open: func(ctx context.Context) error {
		close(opening)
		<-ctx.Done()
		return ctx.Err()
	}}})
	c := dial(t, s.address())
	b, err := encodePhrase("Startup 3.0 user=u")
	require.NoError(t, err)
	c.send(b)
	<-opening
	require.NoError(t, s.stop())
	require.Contains(t, c.until('Z', 1), "FATAL 57P01")
}

// TestTheTimeoutEndsWithTheStartup: a session may be silent for ever.
func TestTheTimeoutEndsWithTheStartup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ln := startPiped(t, Config{})
		c := pipeSession(t, ln)
		time.Sleep(time.Hour)
		require.Contains(t, c.ask(t, `Query "select 1"`), `DataRow "1"`)
		require.NoError(t, c.Close())
		require.NoError(t, s.stop())
	})
}

// allocated is how much memory fn takes.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestAnnouncedLengthTakesNoMemory: of a message, or of a part of a COPY.
func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	for _, arrived := range []int{0, 1000, 100_000, 3_000_000} {
		src := io.MultiReader(strings.NewReader("Q\x03\xff\xff\xff"), io.LimitReader(zeros{}, int64(arrived)))
		in := newInbound(src, sessionBuffer)
		kind, err := in.header()
		require.NoError(t, err)
		require.Equal(t, byte('Q'), kind)
		took := allocated(func() { _, err = in.body(64 << 20) })
		require.ErrorIs(t, err, io.EOF)
		require.Less(t, took, uint64(6*arrived+3*sessionBuffer), "%d bytes had arrived", arrived)
	}
	const length = 200 << 20
	in := newInbound(io.MultiReader(strings.NewReader("d\x0c\x80\x00\x04"), io.LimitReader(zeros{}, length), strings.NewReader("S\x00\x00\x00\x04")), sessionBuffer)
	took := allocated(func() {
		_, err := in.header()
		require.NoError(t, err)
		kind, err := in.header()
		require.NoError(t, err)
		require.Equal(t, byte('S'), kind)
	})
	require.Less(t, took, uint64(1<<20))
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// inUse is the memory that is used now.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what pools kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestMemoryOfConnections: the client's ends live in this process too, and are taken off.
func TestMemoryOfConnections(t *testing.T) {
	const n = 1000
	s := startServer(t, Config{MaxSessions: 2 * n, MaxStarting: 2 * n})
	begin := func(n int, bound int64, start func(c *wireClient)) int64 {
		before := inUse()
		clients := make([]*wireClient, n)
		for i := range clients {
			clients[i] = dial(t, s.address())
			start(clients[i])
		}
		var each int64
		require.Eventually(t, func() bool { // the server may still be at work
			each = (inUse() - before) / int64(n)
			return each < bound
		}, patience, 10*time.Millisecond, "%d bytes each", each)
		for _, c := range clients {
			require.NoError(t, c.Close())
		}
		require.Eventually(t, func() bool {
			s.server.mu.Lock()
			defer s.server.mu.Unlock()
			return len(s.server.sessions) == 0 && len(s.server.starting) == 0
		}, patience, time.Millisecond)
		return each
	}
	half := append([]byte{0, 0, 0x27, 0x14, 0, 3, 0, 0}, "user\x00"...)
	half = append(half, make([]byte, 9000)...)
	begin(n, 1<<20, func(c *wireClient) { c.send(half) }) // what is there once and for all
	client := bareConnections(t, n) / 2
	for _, k := range []struct {
		name  string
		n     int
		bound int64
		start func(c *wireClient)
	}{
		{"no sessions yet", n, 24 << 10, func(c *wireClient) { c.send(half) }},
		{"idle", n, 64 << 10, func(c *wireClient) {
			require.Contains(t, c.start(protocol3, map[string]string{"user": "u"}), "ReadyForQuery")
		}},
		{"idle after work", n / 10, 64 << 10, func(c *wireClient) {
			require.Contains(t, c.start(protocol3, map[string]string{"user": "u"}), "ReadyForQuery")
			b, _ := encodeAll(t, `Query "!rows 2000"`)
			c.send(b)
			readTo(t, c, nil, endsInReady)
			b, _ = encodeAll(t, `Query "!copy-count"`)
			c.send(b)
			require.Contains(t, c.until('G', 1), "CopyInResponse")
			b, err := encodePhrase(`Raw "d" 00030d44 61*200000 "c" 00000004`)
			require.NoError(t, err)
			c.send(b)
			require.Contains(t, c.until('Z', 1), "COPY 200000")
		}},
	} {
		t.Logf("%s: %d bytes each", k.name, begin(k.n, k.bound+client, k.start)-client)
	}
}

// bareConnections is the memory that both ends of a connection take by themselves.
func bareConnections(t *testing.T, n int) int64 {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	before := inUse()
	ends := make([]net.Conn, 0, 2*n)
	for range n {
		c := dial(t, ln.Addr())
		other, err := ln.Accept()
		require.NoError(t, err)
		ends = append(ends, c, other)
	}
	each := (inUse() - before) / int64(n)
	for _, c := range ends {
		require.NoError(t, c.Close())
	}
	return each
}

// TestAnswersToAPipelineAreBounded: short messages with long answers, from a client that
// doesn't read them, take one buffer, and wait.
func TestAnswersToAPipelineAreBounded(t *testing.T) {
	for name, phrase := range map[string]string{
		"extended": `Describe S "wide"`,
		"notices":  `Query "!notices 3000"`,
	} {
		t.Run(name, func(t *testing.T) {
			_, ln := startPiped(t, Config{})
			c := pipeSession(t, ln)
			require.Contains(t, c.ask(t, `Parse "wide" "!wide 1000"`, "Sync"), "ParseComplete")
			one, err := encodePhrase(phrase)
			require.NoError(t, err)
			before := inUse()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				c.send(bytes.Repeat(one, 1+sessionBuffer/len(one))) // all of it is read at once
			}()
			readSome(t, c, 1)
			require.Less(t, inUse()-before, int64(1<<20))
			require.NoError(t, c.Close())
			<-sent
		})
	}
}

// failingListener fails some times before it accepts.
type failingListener struct {
	net.Listener
	errs chan error
}

func (l *failingListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

// TestAcceptIsTriedAgain after an error that may pass, such as too many open files.
func TestAcceptIsTriedAgain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	failing := &failingListener{Listener: ln, errs: make(chan error, 3)}
	for range 3 {
		failing.errs <- errors.New("too many open files")
	}
	s := startServerOn(t, Config{}, failing)
	require.Contains(t, session(t, s.address()).ask(t, `Query "select 1"`), `DataRow "1"`)
	require.Equal(t, 3, strings.Count(strings.Join(s.log.rest(), "\n"), "too many open files"))
}

// TestServeFailsWithoutItsListener: sessions then end as ever.
func TestServeFailsWithoutItsListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, err := New(Config{Backend: &fakeBackend{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(t.Context(), ln) }()
	c := session(t, ln.Addr())
	require.NoError(t, ln.Close())
	require.Contains(t, c.until('Z', 1), "57P01")
	require.ErrorIs(t, <-ended, net.ErrClosed)
}
