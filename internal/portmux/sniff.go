package portmux

import (
	"net"
	"strings"
	"sync"
	"time"
)

// preface that every HTTP/2 client sends first (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// maxSniffed is the most that is read before the decision. It is more than that
// takes, so that a server which refuses a request at its first line has as a rule
// received all of it: closing on unread bytes would cut its answer off.
const maxSniffed = 4 << 10

// sniff reads until it is certain whether conn speaks HTTP/2, and returns what it
// read. The first byte that differs from the preface decides for HTTP/1.
func sniff(conn net.Conn, timeout time.Duration) ([]byte, bool, error) {
	// Of a connection with TLS the handshake comes first, which writes too.
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, false, err
	}
	buf := make([]byte, maxSniffed)
	n := 0
	for {
		k, err := conn.Read(buf[n:])
		n += k
		switch {
		case strings.HasPrefix(string(buf[:n]), preface):
			return buf[:n], true, conn.SetDeadline(time.Time{})
		case !strings.HasPrefix(preface, string(buf[:n])):
			return buf[:n], false, conn.SetDeadline(time.Time{})
		case err != nil:
			return nil, false, err
		}
	}
}

// replayConn yields head again before it reads on.
type replayConn struct {
	net.Conn
	head []byte
}

// Read as of net.Conn.
func (c *replayConn) Read(p []byte) (int, error) {
	if len(c.head) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.head)
	if c.head = c.head[n:]; len(c.head) == 0 {
		c.head = nil
	}
	return n, nil
}

// side is one of the two listeners.
type side struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newSide(addr net.Addr) *side {
	return &side{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// hand gives conn to the next Accept, or closes it if the side is closed first.
func (s *side) hand(conn net.Conn) {
	select {
	case s.conns <- conn:
	case <-s.closed:
		_ = conn.Close()
	}
}

// Accept as of net.Listener.
func (s *side) Accept() (net.Conn, error) {
	select {
	case conn := <-s.conns:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. Connections that come for a closed side are closed.
func (s *side) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr of the shared listener.
func (s *side) Addr() net.Addr { return s.addr }
