package portmux

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// script is a client that says something in pieces of a size, and then no more.
type script struct {
	net.Conn
	says  *bytes.Reader
	piece int
}

func (s *script) Read(p []byte) (int, error)  { return s.says.Read(p[:min(len(p), max(1, s.piece))]) }
func (s *script) SetDeadline(time.Time) error { return nil }

// FuzzSniff: whatever a connection begins with, and in whatever pieces, it is HTTP/2 if and only if it begins with the preface, and
// nothing of it is lost.
func FuzzSniff(f *testing.F) {
	f.Add([]byte(preface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), 1)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 3)
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSN"), 100)
	f.Add([]byte("PRI"), 2)
	f.Fuzz(func(t *testing.T, says []byte, piece int) {
		conn := &script{says: bytes.NewReader(says), piece: piece}
		head, isHTTP2, err := sniff(conn, time.Second)
		undecided := strings.HasPrefix(preface, string(says)) && len(says) < len(preface)
		require.Equal(t, undecided, err != nil)
		if err != nil {
			return
		}
		require.Equal(t, bytes.HasPrefix(says, []byte(preface)), isHTTP2)
		all, err := io.ReadAll(&replayConn{Conn: conn, head: head})
		require.NoError(t, err)
		require.True(t, bytes.Equal(says, all))
	})
}
