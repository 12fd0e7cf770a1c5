package pgwire

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const toldNoPlace = "FATAL 53300 sorry, too many clients already"

// fill takes all places of connections that start, by clients that say nothing.
func fill(t *testing.T, s *testServer) {
	t.Helper()
	// A session that was just greeted may have its place yet.
	require.Eventually(t, func() bool { return len(s.server.starting) == 0 }, patience, time.Millisecond)
	for range s.server.cfg.MaxStarting {
		dial(t, s.address())
	}
	require.Eventually(t, func() bool { return len(s.server.starting) == s.server.cfg.MaxStarting }, patience, time.Millisecond)
}

// TestRefusedAfterTheStartupPacket: a client that asks for encryption first is told in the
// words that it understands, and it needn't wait for that.
func TestRefusedAfterTheStartupPacket(t *testing.T) {
	s := startServer(t, Config{MaxStarting: 2})
	fill(t, s)
	c := dial(t, s.address())
	c.send([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f})
	require.Equal(t, "N", string(readSome(t, c, 1)))
	answer := c.start(protocol3, map[string]string{"user": "u"})
	require.Contains(t, answer, toldNoPlace)
	require.Contains(t, answer, "closed")
	require.Eventually(t, func() bool { return len(s.server.refusals.places) == 0 }, patience, time.Millisecond)
}

// TestRefusedThatSayNothing: whatever a client that is too many says or doesn't, it is told why
// it is closed, within a second.
func TestRefusedThatSayNothing(t *testing.T) {
	for name, sent := range map[string][]byte{
		"silent":      nil,
		"half":        {0, 0, 0, 99, 0, 3},
		"no end":      append([]byte{0, 0, 0, 40, 0, 3, 0, 0}, "user\x00u\x00"...),
		"half cancel": {0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, ln := startPiped(t, Config{MaxStarting: 1})
				first := ln.dial(t)
				synctest.Wait()
				c := ln.dial(t)
				began := time.Now()
				c.send(sent)
				require.Contains(t, c.until('Z', 1), toldNoPlace)
				require.Equal(t, refusal, time.Since(began))
				require.NoError(t, first.Close())
				require.NoError(t, s.stop())
			})
		})
	}
}

// TestRefusedThatGoAway leave nothing, and garbage is called so.
func TestRefusedThatGoAway(t *testing.T) {
	s := startServer(t, Config{MaxStarting: 1})
	fill(t, s)
	for i := range 2 * maxRefused {
		c := dial(t, s.address())
		c.send([]byte{0, 0, 0, 99, 0, 3}[:i%6])
		require.NoError(t, c.Close())
	}
	c := dial(t, s.address())
	c.send([]byte("GET / HTTP/1.0\r\n\r\n"))
	require.Contains(t, c.until('Z', 1), "08P01")
	require.Eventually(t, func() bool {
		s.server.refusals.mu.Lock()
		defer s.server.refusals.mu.Unlock()
		return len(s.server.refusals.places) == 0 && len(s.server.refusals.waiting) == 0
	}, patience, time.Millisecond)
}

// TestRefusedCrowd: of many sockets at once, that say nothing or half a packet, each is told,
// few have memory, and none waits for the others; who speaks is told at once, and cancels work.
func TestRefusedCrowd(t *testing.T) {
	const crowd = 1500
	s := startServer(t, Config{MaxStarting: 2})
	victim := session(t, s.address())
	fill(t, s)
	before := inUse()
	began := time.Now()
	silent := make([]*wireClient, crowd)
	for i := range silent {
		silent[i] = dial(t, s.address())
		silent[i].send(append([]byte{0, 0, 0x27, 0x14, 0, 3, 0, 0}, make([]byte, i%5000)...)[:i%5000])
		require.LessOrEqual(t, len(s.server.refusals.places), maxRefused)
	}
	speaks := dial(t, s.address())
	require.Contains(t, speaks.start(protocol3, map[string]string{"user": "u"}), toldNoPlace)
	b, _ := encodeAll(t, `Query "!flood 1000000"`)
	victim.send(b)
	readSome(t, victim, 40)
	require.NoError(t, requestCancel(s.address(), victim.key.ProcessID, victim.key.SecretKey))
	require.Contains(t, string(readTo(t, victim, nil, endsInReady)), "57014")
	require.Less(t, inUse()-before, int64(crowd*8<<10+maxRefused*24<<10), "both ends are in this process")
	var told sync.WaitGroup
	answers := make([]string, crowd)
	for i, c := range silent {
		told.Go(func() { answers[i] = c.until('Z', 1) })
	}
	told.Wait()
	for i, a := range answers {
		require.Contains(t, a, toldNoPlace, "client %d", i)
	}
	require.Less(t, time.Since(began), patience)
}

// TestGuessesAreBounded: sixteen wrong secrets are taken at once, and as many a second; further
// ones wait, and are dropped when that would take too long.
func TestGuessesAreBounded(t *testing.T) {
	var g guesses
	now := time.Unix(1000, 0)
	for range 16 {
		wait, ok := g.reserve(now, 0)
		require.True(t, ok)
		require.Zero(t, wait)
	}
	_, ok := g.reserve(now, 0)
	require.False(t, ok)
	for i := range 16 {
		wait, ok := g.reserve(now, time.Second)
		require.True(t, ok)
		require.Equal(t, time.Duration(i+1)*guessEvery, wait)
	}
	_, ok = g.reserve(now, time.Second)
	require.False(t, ok)
	g.forgive()
	_, ok = g.reserve(now, time.Second)
	require.True(t, ok)
	wait, ok := g.reserve(now.Add(time.Hour), 0)
	require.True(t, ok)
	require.Zero(t, wait)
}

// TestWrongCancelsWait: a client that guesses secrets is slowed down, and a right one still
// has its turn.
func TestWrongCancelsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ln := startPiped(t, Config{})
		c := pipeSession(t, ln)
		b, _ := encodeAll(t, `Query "!flood 1000"`)
		c.send(b)
		got := readSome(t, c, 40)
		began := time.Now()
		for i := range 48 {
			other := ln.dial(t)
			other.send(cancelPacket(c.key.ProcessID, []byte(fmt.Sprintf("%04d", i))))
			require.Equal(t, "closed\n", other.until('Z', 1))
		}
		require.Equal(t, 2*time.Second, time.Since(began))
		cancelPiped(t, ln, c)
		require.Contains(t, s.await(t, "flood ends"), "57014")
		require.Contains(t, string(readTo(t, c, got, endsInReady)), "57014")
		require.NoError(t, c.Close())
		require.NoError(t, s.stop())
	})
}
