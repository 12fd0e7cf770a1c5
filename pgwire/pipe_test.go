package pgwire

import (
	"net"
	"sync"
	"testing"
)

// pipeListener accepts connections that have no buffer: what one side writes has been sent
// when the other has read it.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func listenPipe() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Net: "pipe", Name: "pipe"} }

// dial connects to the server that accepts.
func (l *pipeListener) dial(t *testing.T) *wireClient {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	select {
	case l.conns <- server:
	case <-l.closed:
		t.Fatal("the listener is closed")
	}
	return &wireClient{Conn: client}
}
