package pgwire

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/certs/certstest"
)

// sslRequestBytes ask for TLS.
var sslRequestBytes = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}

// TestMemoryOfTLSBeforeASession: connections that have done the handshake and say nothing then. The clients' ends are in
// this process, too, and are no smaller, so that half of what is measured is the server's.
func TestMemoryOfTLSBeforeASession(t *testing.T) {
	const n = 200
	ca := certstest.New(t, "ca")
	cfg := guardedConfig(t, ca, rules)
	cfg.MaxStarting = 2 * n
	cfg.StartupTimeout = time.Minute
	s := startTCP(t, cfg)
	begin := func() int64 {
		before := inUse()
		clients := make([]*tls.Conn, n)
		for i := range clients {
			c := dial(t, s.address())
			c.send(sslRequestBytes)
			require.Equal(t, "S", string(readSome(t, c, 1)))
			clients[i] = tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // whose certificate it is doesn't matter here
			require.NoError(t, clients[i].HandshakeContext(t.Context()))
		}
		var each int64
		require.Eventually(t, func() bool {
			each = (inUse() - before) / n
			return each < 2*tlsBound
		}, patience, 10*time.Millisecond, "%d bytes each", each)
		for _, c := range clients {
			_ = c.Close()
		}
		require.Eventually(t, func() bool { return len(s.server.starting) == 0 }, patience, time.Millisecond)
		return each
	}
	begin() // what is there once and for all
	t.Logf("%d bytes each, of client and server", begin())
}

// tlsBound is what doc.go says that a connection takes, once its handshake is done and before it is a session.
const tlsBound = 32 << 10

// TestHandshakesAreBounded: a handshake that doesn't go on takes a place of those that start, and no longer than
// they have; there are no more at one time than places, and those that are told that there is none.
func TestHandshakesAreBounded(t *testing.T) {
	cfg := guardedConfig(t, certstest.New(t, "ca"), rules)
	cfg.MaxStarting = 3
	synctest.Test(t, func(t *testing.T) {
		s, ln := startPiped(t, cfg)
		began := time.Now()
		stuck := func() {
			c := ln.dial(t)
			c.send(sslRequestBytes)
			require.Equal(t, "S", string(readSome(t, c, 1)))
		}
		for range 4 {
			stuck()
		}
		synctest.Wait()
		require.Len(t, s.server.starting, 3)
		require.Len(t, s.server.refusals.places, 1)
		time.Sleep(refusal)
		synctest.Wait()
		require.Empty(t, s.server.refusals.places)
		require.Len(t, s.server.starting, 3)
		time.Sleep(s.server.cfg.StartupTimeout - time.Since(began))
		synctest.Wait()
		require.Empty(t, s.server.starting)
		require.NoError(t, s.stop())
	})
}
