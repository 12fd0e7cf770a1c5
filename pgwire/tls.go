package pgwire

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// alpn is the protocol that clients name; those that begin with TLS have to.
	alpn = "postgresql"
	// recordHandshake begins a connection that begins with TLS.
	recordHandshake = 0x16
	// piece is how much is encrypted at a time, and so what may be waiting to be sent.
	piece = 16 << 10
)

// secured is a connection with TLS. Unlike those of crypto/tls it goes on after a deadline has
// interrupted a Write: what was encrypted is kept, and sent before anything else.
type secured struct {
	*tls.Conn
	below *records
	// binding is the hash of our certificate for tls-server-end-point; nil if there is none.
	binding []byte
}

// records carries TLS records, and never lets crypto/tls know of a deadline for sending.
type records struct {
	net.Conn
	before  []byte // what was read of the connection before it had TLS
	pending []byte // what has to be sent
	stuck   error  // the deadline that a Write met
}

func (r *records) Read(p []byte) (int, error) {
	if len(r.before) > 0 {
		n := copy(p, r.before)
		r.before = r.before[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

func (r *records) Write(p []byte) (int, error) {
	if len(r.pending) > 0 {
		r.pending = append(r.pending, p...)
		return len(p), r.flush()
	}
	n, err := r.Conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.pending = append(r.pending, p[n:]...)
		r.stuck = err
		return len(p), nil
	}
	return n, err
}

// SetWriteDeadline does nothing: crypto/tls sets one for its farewell, which may take no longer
// than our deadline.
func (*records) SetWriteDeadline(time.Time) error { return nil }

// flush sends what is pending. A deadline isn't an error, but stays in stuck.
func (r *records) flush() error {
	if len(r.pending) == 0 {
		return nil
	}
	n, err := r.Conn.Write(r.pending)
	if r.pending = r.pending[n:]; len(r.pending) == 0 {
		r.pending = nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.stuck, err = err, nil
	}
	return err
}

// met returns the deadline that was met since the last call.
func (r *records) met() error {
	err := r.stuck
	r.stuck = nil
	return err
}

// newSecured prepares the server's side of TLS on a connection of which some bytes were read.
func newSecured(nc net.Conn, before []byte, cfg *tls.Config) *secured {
	s := &secured{below: &records{Conn: nc, before: before}}
	outer := s.config(cfg)
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if cfg.GetConfigForClient == nil {
			return nil, nil // the outer one
		}
		now, err := cfg.GetConfigForClient(hello)
		if now == nil || err != nil {
			return nil, err
		}
		return s.config(now), nil
	}
	s.Conn = tls.Server(s.below, outer)
	return s
}

// config is that of one handshake: it notes which certificate is shown.
func (s *secured) config(base *tls.Config) *tls.Config {
	c := base.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.NextProtos = []string{alpn}
	c.SessionTicketsDisabled = true // each client shows its certificate, and is shown ours
	c.GetConfigForClient = nil
	c.Certificates = nil // or GetCertificate wouldn't always be asked
	if c.ClientCAs != nil {
		c.ClientAuth = tls.VerifyClientCertIfGiven // rules say who needs one
	}
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := choose(base, hello)
		if err == nil {
			s.binding = endPoint(cert)
		}
		return cert, err
	}
	return c
}

// choose a certificate as crypto/tls does.
func choose(c *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.GetCertificate != nil {
		if cert, err := c.GetCertificate(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	if len(c.Certificates) == 0 {
		return nil, errors.New("the server has no certificate")
	}
	for i := range c.Certificates {
		if hello.SupportsCertificate(&c.Certificates[i]) == nil {
			return &c.Certificates[i], nil
		}
	}
	return &c.Certificates[0], nil
}

// endPoint is the hash of a certificate by RFC 5929: with that of its signature, or SHA-256 for
// weak ones; nil where that isn't defined.
func endPoint(cert *tls.Certificate) []byte {
	leaf := cert.Leaf
	if leaf == nil {
		var err error
		if leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil
		}
	}
	hash := crypto.SHA256
	switch leaf.SignatureAlgorithm { //nolint:exhaustive // SHA-256 is for all others
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		hash = crypto.SHA512
	case x509.PureEd25519, x509.UnknownSignatureAlgorithm:
		return nil
	}
	h := hash.New()
	_, _ = h.Write(leaf.Raw) // a hash never fails
	return h.Sum(nil)
}

// Read decrypts, once all that was written has been sent.
func (s *secured) Read(p []byte) (int, error) {
	if err := errors.Join(s.below.flush(), s.below.met()); err != nil {
		return 0, err
	}
	return s.Conn.Read(p)
}

// Write encrypts and sends. After a deadline it may go on.
func (s *secured) Write(p []byte) (int, error) {
	sent := 0
	for {
		if err := errors.Join(s.below.flush(), s.below.met()); err != nil || sent == len(p) {
			return sent, err
		}
		n, err := s.Conn.Write(p[sent:min(len(p), sent+piece)])
		sent += n
		if err = errors.Join(err, s.below.met()); err != nil {
			return sent, err
		}
	}
}

// SyscallConn is that of the connection itself, see closedByPeer.
func (s *secured) SyscallConn() (syscall.RawConn, error) {
	sc, ok := s.below.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}

// secure does the handshake, within the deadline for the startup. What arrived of it is taken
// from the buffer. Nothing that isn't encrypted is sent afterwards, even if it fails.
func (c *conn) secure() error {
	before := bytes.Clone(c.in.buf[c.in.r:c.in.w])
	c.in.r = c.in.w
	s := newSecured(c.life.nc, before, c.cfg.TLS)
	c.life.upgrade(s)
	c.out.dst, c.tls = s, s
	if err := s.Handshake(); err != nil {
		c.cfg.Logger.LogAttrs(context.WithoutCancel(c.life.ctx), slog.LevelDebug, "a client's TLS handshake failed",
			slog.String("address", remote(c.life.nc)), slog.Any("error", err))
		return c.life.why(err)
	}
	return nil
}

func remote(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}
