package pgwire

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what has to come.
const patience = time.Minute

// wireClient speaks the protocol message by message.
type wireClient struct {
	net.Conn
	key pgproto3.BackendKeyData
}

func dial(t *testing.T, address net.Addr) *wireClient {
	t.Helper()
	nc, err := net.Dial(address.Network(), address.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	return &wireClient{Conn: nc}
}

// send gives bytes to the server. That the server has closed the connection is seen when
// reading.
func (c *wireClient) send(b []byte) {
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	_, _ = c.Write(b)
}

// next returns a message of the server; the type is 0 when the server closed the connection.
func (c *wireClient) next() (byte, []byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	var head [5]byte
	if n, err := io.ReadFull(c, head[:]); err != nil {
		if n > 0 || isTimeout(err) {
			return 0, nil, fmt.Errorf("after %d bytes of a message: %w", n, err)
		}
		return 0, nil, nil
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	if _, err := io.ReadFull(c, body); err != nil {
		return 0, nil, fmt.Errorf("in a message of type %q: %w", head[0], err)
	}
	return head[0], body, nil
}

// bytes reads bytes that aren't messages.
func (c *wireClient) bytes(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var n int
	d.ScanArgs(t, "n", &n)
	b := make([]byte, n)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	return fmt.Sprintf("%q\n", b)
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // of a connection, never wrapped
	return ok && e.Timeout()
}

// until reads messages up to the nth of a type, or to the end, and prints them.
func (c *wireClient) until(kind byte, n int) string {
	var out strings.Builder
	for n > 0 {
		k, body, err := c.next()
		if err != nil {
			fmt.Fprintf(&out, "FAILED %v\n", err)
			return out.String()
		}
		if k == 0 {
			out.WriteString("closed\n")
			return out.String()
		}
		if k == 'K' {
			if err := c.key.Decode(body); err != nil {
				fmt.Fprintf(&out, "FAILED %v\n", err)
			}
		}
		out.WriteString(describeMessage(k, body))
		if k == kind {
			n--
		}
	}
	return out.String()
}

// start makes a session, and prints what the server said.
func (c *wireClient) start(version uint32, params map[string]string) string {
	b, err := (&pgproto3.StartupMessage{ProtocolVersion: version, Parameters: params}).Encode(nil)
	if err != nil {
		return err.Error()
	}
	c.send(b)
	return c.until('Z', 1)
}

// session dials and starts a session.
func session(t *testing.T, address net.Addr) *wireClient {
	t.Helper()
	c := dial(t, address)
	require.Contains(t, c.start(protocol3, map[string]string{"user": "u"}), "ReadyForQuery I")
	return c
}

// ask sends messages and prints the answer up to ReadyForQuery.
func (c *wireClient) ask(t *testing.T, phrases ...string) string {
	t.Helper()
	b, n := encodeAll(t, phrases...)
	c.send(b)
	return c.until('Z', n)
}

// encodeAll encodes messages, and counts those that end in ReadyForQuery.
func encodeAll(t *testing.T, phrases ...string) ([]byte, int) {
	t.Helper()
	var b []byte
	n := 0
	for _, p := range phrases {
		one, err := encodePhrase(p)
		require.NoError(t, err, p)
		b = append(b, one...)
		if kind := one[0]; kind == 'Q' || kind == 'S' || kind == 'F' {
			n++
		}
	}
	return b, n
}

// cancelPacket asks to cancel the call of a session.
func cancelPacket(pid uint32, secret []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(12+len(secret)))
	b = binary.BigEndian.AppendUint32(b, cancelRequest)
	return append(binary.BigEndian.AppendUint32(b, pid), secret...)
}

// requestCancel sends a cancel request and waits until it was answered, by nothing.
func requestCancel(address net.Addr, pid uint32, secret []byte) error {
	nc, err := net.Dial(address.Network(), address.String())
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	c := &wireClient{Conn: nc}
	c.send(cancelPacket(pid, secret))
	if answer := c.until('Z', 1); answer != "closed\n" {
		return fmt.Errorf("a cancel request was answered: %s", answer)
	}
	return nil
}
