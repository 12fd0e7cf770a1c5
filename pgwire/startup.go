package pgwire

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Codes of the packets that may begin a connection.
const (
	protocol3     = 3 << 16
	cancelRequest = 1234<<16 | 5678
	sslRequest    = 1234<<16 | 5679
	gssRequest    = 1234<<16 | 5680
)

const (
	// maxStartupPacket is PostgreSQL's own limit, without the length.
	maxStartupPacket = 10_000
	// maxSecret is how long a secret may be in protocol 3.2.
	maxSecret = 256
)

// startupPacket is what a client opened its connection with: a session's parameters, or
// a request to cancel another's call.
type startupPacket struct {
	minor  uint16
	params map[string]string
	// Unknown protocol options ("_pq_...") that are answered with a negotiation.
	options []string

	cancel bool
	pid    uint32
	secret []byte
}

func (p *startupPacket) user() string { return p.params["user"] }

// database that is asked for; PostgreSQL's default is the user's name.
func (p *startupPacket) database() string { return cmp.Or(p.params["database"], p.user()) }

// readStartup answers encryption requests, each of which may come once, and returns the packet that
// follows. Where a connection begins with TLS, or asks for it, that is done.
func (c *conn) readStartup() (*startupPacket, error) {
	direct, err := c.beginsWithTLS()
	if err != nil {
		return nil, err
	}
	// Within TLS there is nothing more to ask for.
	asked := map[uint32]bool{sslRequest: direct, gssRequest: direct}
	for {
		code, body, err := readUntyped(&c.in)
		if err != nil {
			return nil, err
		}
		switch {
		case (code == sslRequest || code == gssRequest) && !asked[code]:
			asked[code] = true
			if err := c.answerEncryption(code); err != nil {
				return nil, err
			}
			asked[gssRequest] = asked[gssRequest] || c.tls != nil
		case code == cancelRequest:
			if len(body) <= 4 || len(body) > 4+maxSecret {
				return nil, violation("invalid length of query cancel packet")
			}
			return &startupPacket{cancel: true, pid: binary.BigEndian.Uint32(body), secret: body[4:]}, nil
		case code>>16 == 3:
			return parseStartup(uint16(code), body)
		default:
			return nil, unsupported(c.out.dst, code)
		}
	}
}

// beginsWithTLS does the handshake if the connection begins with one. The client has to say by ALPN that
// it means this protocol.
func (c *conn) beginsWithTLS() (bool, error) {
	if c.cfg.TLS == nil {
		return false, nil
	}
	if err := c.in.fill(1); err != nil {
		return false, err
	}
	if c.in.buf[c.in.r] != recordHandshake {
		return false, nil
	}
	if err := c.secure(); err != nil {
		return true, err
	}
	if c.tls.ConnectionState().NegotiatedProtocol != alpn {
		return true, violation("received direct SSL connection request without ALPN protocol negotiation extension")
	}
	return true, nil
}

// answerEncryption. What a client sent without waiting for the answer is refused: it could
// be somebody else's.
func (c *conn) answerEncryption(code uint32) error {
	accept := code == sslRequest && c.cfg.TLS != nil
	answer, in := byte('N'), &c.in
	if accept {
		answer = 'S'
	}
	if !accept || in.r == in.w { // a client that is refused is told by an error instead
		if _, err := c.out.dst.Write([]byte{answer}); err != nil {
			return c.life.why(err)
		}
	}
	if in.r < in.w {
		what := "SSL"
		if code == gssRequest {
			what = "GSSAPI encryption"
		}
		e := violation("received unencrypted data after " + what + " request")
		e.Detail = "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack."
		return e
	}
	if accept {
		return c.secure()
	}
	return nil
}

// unsupported refuses a version of the protocol. Clients before 3.0 take errors as plain
// text.
func unsupported(w io.Writer, code uint32) error {
	text := fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.2", code>>16, code&0xffff)
	if code>>16 < 3 {
		_, _ = w.Write([]byte("EFATAL:  " + text + "\n\x00"))
		return errTerminate
	}
	return &Error{Severity: "FATAL", Code: "0A000", Message: text}
}

// readUntyped reads a packet without a type byte: its code and what follows.
func readUntyped(in *inbound) (uint32, []byte, error) {
	if err := in.fill(4); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(in.buf[in.r:])
	if n < 8 || n > maxStartupPacket+4 {
		return 0, nil, violation("invalid length of startup packet")
	}
	if err := in.fill(8); err != nil {
		return 0, nil, err
	}
	code := binary.BigEndian.Uint32(in.buf[in.r+4:])
	in.r += 8
	body, err := in.take(int(n) - 8)
	return code, body, err
}

// parseStartup reads pairs of zero-terminated strings, ended by a zero.
func parseStartup(minor uint16, body []byte) (*startupPacket, error) {
	p := &startupPacket{minor: minor, params: map[string]string{}}
	text := string(body)
	for !strings.HasPrefix(text, "\x00") {
		name, rest, _ := strings.Cut(text, "\x00")
		value, rest, ok := strings.Cut(rest, "\x00")
		if !ok {
			break
		}
		if strings.HasPrefix(name, "_pq_.") {
			p.options = append(p.options, name)
		} else {
			p.params[name] = value
		}
		text = rest
	}
	if text != "\x00" {
		return nil, violation("invalid startup packet layout: expected terminator as last byte")
	}
	return p, nil
}

// negotiated is the minor version that is spoken with a client that asked for p.minor, and
// whether it has to be told.
func (p *startupPacket) negotiated() (uint16, bool) {
	switch minor := p.minor; {
	case minor >= 2:
		return 2, minor > 2 || len(p.options) > 0
	default: // 3.1 was never used by anyone
		return 0, minor > 0 || len(p.options) > 0
	}
}

// newSecret is the secret with which a session's calls may be cancelled: of 4 bytes in
// protocol 3.0, of 32 since.
func newSecret(minor uint16) []byte {
	s := make([]byte, 4)
	if minor >= 2 {
		s = make([]byte, 32)
	}
	_, _ = rand.Read(s) // never fails: crypto/rand ends the program instead
	return s
}
