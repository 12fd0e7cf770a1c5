package pgwire

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
)

// Codes of the packets that may begin a connection.
const (
	protocol3     = 3 << 16
	cancelRequest = 1234<<16 | 5678
	sslRequest    = 1234<<16 | 5679
	gssRequest    = 1234<<16 | 5680
)

// maxStartupPacket is PostgreSQL's own limit.
const maxStartupPacket = 10_000

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

// readStartup answers encryption requests with a no and returns the packet that follows.
func readStartup(conn net.Conn, r *bufio.Reader) (*startupPacket, error) {
	for range 3 { // TLS, GSS, and the packet itself
		code, body, err := readUntyped(r)
		if err != nil {
			return nil, err
		}
		switch {
		case code == sslRequest || code == gssRequest:
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return nil, err
			}
		case code == cancelRequest:
			if len(body) != 8 {
				return nil, protocolError("invalid length of cancel request")
			}
			return &startupPacket{cancel: true, pid: binary.BigEndian.Uint32(body), secret: body[4:]}, nil
		case code>>16 == 3:
			return parseStartup(uint16(code), body)
		default:
			return nil, &Error{
				Severity: "FATAL", Code: "0A000",
				Message: fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0", code>>16, code&0xffff),
			}
		}
	}
	return nil, protocolError("too many encryption requests")
}

// readUntyped reads a packet without a type byte: its code and what follows.
func readUntyped(r io.Reader) (uint32, []byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 8 || n > maxStartupPacket {
		return 0, nil, protocolError("invalid length of startup packet")
	}
	body, err := readBody(r, int(n)-8)
	return binary.BigEndian.Uint32(head[4:]), body, err
}

// parseStartup reads pairs of zero-terminated strings, ended by a zero.
func parseStartup(minor uint16, body []byte) (*startupPacket, error) {
	if len(body) == 0 || body[len(body)-1] != 0 {
		return nil, protocolError("invalid startup packet layout: expected terminator as last byte")
	}
	p := &startupPacket{minor: minor, params: map[string]string{}}
	text := string(body[:len(body)-1])
	for text != "" {
		name, rest, ok := strings.Cut(text, "\x00")
		if !ok || name == "" {
			return nil, protocolError("invalid startup packet layout")
		}
		value, rest, ok := strings.Cut(rest, "\x00")
		if !ok {
			return nil, protocolError("invalid startup packet layout: parameter \"" + name + "\" has no value")
		}
		if strings.HasPrefix(name, "_pq_.") {
			p.options = append(p.options, name)
		} else {
			p.params[name] = value
		}
		text = rest
	}
	return p, nil
}

func protocolError(text string) *Error {
	return &Error{Severity: "FATAL", Code: "08P01", Message: text}
}

// newSecret is the secret with which a session's calls may be cancelled.
func newSecret() [4]byte {
	var s [4]byte
	_, _ = rand.Read(s[:]) // never fails: crypto/rand ends the program instead
	return s
}
