package pgwire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"broadsheet.dev/broadsheet/pgwire/hba"
	"broadsheet.dev/broadsheet/pgwire/scram"
)

// Users knows who may log in, for Config.Rules.
type Users interface {
	// Verifier of a user's password; zero if there is no such user, it may not log in, or it
	// has no password. It is to take the same time for all of them.
	Verifier(ctx context.Context, user string, from Peer) (scram.Verifier, error)
	// Roles of a user: what it returns tells whether the user is a role, or a member of it, by itself or through
	// others. It is asked for once a connection at most, before anything is proved.
	Roles(ctx context.Context, user string) (func(role string) bool, error)
}

// Peer is the other side of a connection.
type Peer struct {
	// Address is what the connection comes from.
	Address net.Addr
	// TLS has the connection's state, nil if there is none.
	TLS *tls.ConnectionState
	// Method is how the client has proved who it is; "" without Config.Rules.
	Method hba.Method
}

// maxSASL is PostgreSQL's limit for a message of an authentication.
const maxSASL = 1024

// Codes of the messages by which a server asks for proofs.
const (
	authOK       = 0
	authSASL     = 10
	authContinue = 11
	authFinal    = 12
)

// authenticate lets a client prove who it is, as the rules say.
func (c *conn) authenticate(ctx context.Context, p *startupPacket, host *networks) error {
	c.peer = Peer{Address: c.life.nc.RemoteAddr()}
	if c.tls != nil {
		state := c.tls.ConnectionState()
		c.peer.TLS = &state
	}
	if p.user() == "" {
		return &Error{Code: "28000", Message: "no PostgreSQL user name specified in startup packet"}
	}
	if c.cfg.Rules == nil {
		return nil
	}
	rule, err := c.rule(ctx, p, host)
	if err != nil {
		return err
	}
	c.peer.Method = rule.Method
	if rule.ClientCert != hba.NoCert && c.certificate() == nil {
		return &Error{Code: "28000", Message: "connection requires a valid client certificate"}
	}
	if rule.Method == hba.Scram {
		if err := c.scram(ctx, p.user(), rule); err != nil {
			return err
		}
	}
	if rule.ClientCert == hba.UserCert && c.certificate().Subject.CommonName != p.user() {
		return c.failedAs(p.user(), rule, "the certificate is of "+c.certificate().Subject.CommonName)
	}
	return nil
}

// rule that decides on the connection, unless it rejects it.
func (c *conn) rule(ctx context.Context, p *startupPacket, host *networks) (hba.Rule, error) {
	peer := hba.Peer{User: p.user(), Database: p.database(), TLS: c.tls != nil}
	where := "[local]"
	if tcp, ok := c.peer.Address.(*net.TCPAddr); ok {
		peer.Address = tcp.AddrPort().Addr().WithZone("")
		where = peer.Address.Unmap().String()
	}
	var err error
	if c.cfg.Rules.NeedNetworks() {
		if peer.Ours, err = host.ours(time.Now()); err != nil {
			return hba.Rule{}, err
		}
	}
	var is func(role string) bool
	rule, ok := c.cfg.Rules.Match(peer, func(user, role string) bool {
		if is == nil && err == nil {
			is, err = c.cfg.Users.Roles(ctx, user)
		}
		return err == nil && is(role)
	})
	if err != nil {
		return hba.Rule{}, err
	}
	said := fmt.Sprintf("for host %q, user %q, database %q, %s", where, peer.User, peer.Database, encryption(peer.TLS))
	switch {
	case !ok:
		return rule, &Error{Code: "28000", Message: "no pg_hba.conf entry " + said}
	case rule.Method == hba.Reject:
		return rule, &Error{Code: "28000", Message: "pg_hba.conf rejects connection " + said}
	}
	return rule, nil
}

func encryption(encrypted bool) string {
	if encrypted {
		return "SSL encryption"
	}
	return "no encryption"
}

// certificate of the client, which was verified; nil if it has shown none.
func (c *conn) certificate() *x509.Certificate {
	if c.peer.TLS == nil || len(c.peer.TLS.VerifiedChains) == 0 {
		return nil
	}
	return c.peer.TLS.PeerCertificates[0]
}

// failedAs is what a client is told that has not proved who it is. Why is only logged.
func (c *conn) failedAs(user string, rule hba.Rule, why string) error {
	c.cfg.Logger.LogAttrs(context.WithoutCancel(c.life.ctx), slog.LevelInfo, "a client's authentication failed",
		slog.String("user", user), slog.String("address", remote(c.life.nc)), slog.String("method", string(rule.Method)),
		slog.Int("rule_line", rule.Line), slog.String("reason", why))
	switch rule.Method {
	case hba.Scram:
		return &Error{Code: "28P01", Message: fmt.Sprintf("password authentication failed for user %q", user)}
	case hba.Cert:
		return &Error{Code: "28000", Message: fmt.Sprintf("certificate authentication failed for user %q", user)}
	default:
		return &Error{Code: "28000", Message: fmt.Sprintf("%q authentication failed for user %q", rule.Method, user)}
	}
}

// scram lets the client prove that it knows the user's password.
func (c *conn) scram(ctx context.Context, user string, rule hba.Rule) error {
	verifier, err := c.cfg.Users.Verifier(ctx, user, c.peer)
	if err != nil {
		return err
	}
	var binding []byte
	if c.tls != nil {
		binding = c.tls.binding
	}
	x := scram.NewExchange(scram.Account{User: user, Verifier: verifier, Secret: c.cfg.MockSecret}, binding)
	c.out.begin('R')
	c.out.int32(authSASL)
	for _, m := range scram.Mechanisms(binding) {
		c.out.cstr(m)
	}
	c.out.byte(0)
	c.out.end()
	mechanism, first, err := c.saslFirst()
	if err != nil {
		return err
	}
	reply, err := x.First(mechanism, first)
	if err != nil {
		return saslError(err)
	}
	c.ask(authContinue, reply)
	final, err := c.in.response()
	if err != nil {
		return err
	}
	last, ok, err := x.Final(final)
	if err != nil {
		return saslError(err)
	}
	if !ok {
		return c.failedAs(user, rule, "the password is wrong, or there is none")
	}
	c.ask(authFinal, last)
	return nil
}

// ask sends a challenge, or the last answer, with the next flush.
func (c *conn) ask(code uint32, data []byte) {
	c.out.begin('R')
	c.out.int32(code)
	c.out.buf = append(c.out.buf, data...)
	c.out.end()
}

// saslFirst reads the client's choice of a mechanism, and its first message, which may come with it.
func (c *conn) saslFirst() (string, []byte, error) {
	body, err := c.in.response()
	if err != nil {
		return "", nil, err
	}
	name, rest, ok := bytes.Cut(body, []byte{0})
	if !ok || len(rest) < 4 {
		return "", nil, violation("invalid SASLInitialResponse message")
	}
	mechanism := string(name)
	n, rest := int32(binary.BigEndian.Uint32(rest)), rest[4:]
	if n == -1 && len(rest) == 0 {
		c.ask(authContinue, nil)
		rest, err = c.in.response()
		return mechanism, rest, err
	}
	if int64(n) != int64(len(rest)) {
		return "", nil, violation("invalid SASLInitialResponse message")
	}
	return mechanism, rest, nil
}

func saslError(err error) error {
	if e, ok := errors.AsType[*scram.Error](err); ok {
		return &Error{Severity: "FATAL", Code: e.Code, Message: e.Message, Detail: e.Detail}
	}
	return err
}

// response reads a message of an authentication. It is valid until the next call.
func (in *inbound) response() ([]byte, error) {
	if err := in.fill(5); err != nil {
		return nil, err
	}
	kind, n := in.buf[in.r], int64(binary.BigEndian.Uint32(in.buf[in.r+1:]))-4
	if kind != 'p' {
		return nil, violation(fmt.Sprintf("expected SASL response, got message type %d", kind))
	}
	if n < 0 || n > maxSASL {
		return nil, violation(fmt.Sprintf("invalid length %d of a SASL response", n+4))
	}
	in.r += 5
	return in.take(int(n))
}
