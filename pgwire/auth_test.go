package pgwire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/certs/certstest"
	"broadsheet.dev/broadsheet/pgwire/hba"
	"broadsheet.dev/broadsheet/pgwire/scram"
)

// fakeUsers have verifiers, and roles.
type fakeUsers struct {
	verifiers map[string]scram.Verifier
	roles     map[string][]string
	err       error
	asked     atomic.Int64 // for roles
}

func (f *fakeUsers) Verifier(_ context.Context, user string, _ Peer) (scram.Verifier, error) {
	return f.verifiers[user], f.err
}

func (f *fakeUsers) Roles(_ context.Context, user string) (func(string) bool, error) {
	f.asked.Add(1)
	return func(role string) bool { return user == role || slices.Contains(f.roles[user], role) }, f.err
}

const password = "p\u00e4ssword"

// guardedConfig has a certificate, users with a password, and rules.
func guardedConfig(t *testing.T, a *certstest.Authority, rules string) Config {
	t.Helper()
	v, err := scram.New(password)
	require.NoError(t, err)
	parsed, err := hba.Parse(rules)
	require.NoError(t, err)
	source, err := certs.Load(a.Issue("server", certs.Files{CA: a.File}), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	config, err := source.Server()
	require.NoError(t, err)
	return Config{TLS: config, Rules: parsed, MockSecret: make([]byte, minSecret), Users: &fakeUsers{
		verifiers: map[string]scram.Verifier{"u": v, "both": v, "tls": v},
		roles:     map[string][]string{"boss": {"bosses"}},
	}}
}

const rules = `
hostnossl all  nopass     127.0.0.1/32  trust
hostssl   all  card       127.0.0.1/32  cert
hostssl   all  both       127.0.0.1/32  scram-sha-256 clientcert=verify-full
hostssl   all  any        127.0.0.1/32  trust clientcert=verify-ca
host      all  +bosses    all           trust
host      d    rejected   all           reject
host      all  u,nobody   all           scram-sha-256
hostssl   all  tls        all           scram-sha-256
`

// TestAuthentication by pgx and by psql: who is believed, and what the others are told.
func TestAuthentication(t *testing.T) {
	ca, other := certstest.New(t, "ca"), certstest.New(t, "other")
	s := startTCP(t, guardedConfig(t, ca, rules))
	secure := " sslmode=verify-full sslrootcert=" + ca.File
	own := func(a *certstest.Authority, name string) string {
		f := a.Issue(name, certs.Files{})
		return " sslcert=" + f.Cert + " sslkey=" + f.Key
	}
	for _, c := range []struct{ name, user, password, options, want string }{
		{"without a password", "nopass", "", "sslmode=disable", ""},
		{"a rule for no encryption", "nopass", "", secure, `no pg_hba.conf entry for host "127.0.0.1", user "nopass", database "d", SSL encryption`},
		{"SCRAM", "u", password, "sslmode=disable", ""},
		{"SCRAM over TLS", "u", password, secure + " channel_binding=disable", ""},
		{"SCRAM-PLUS", "u", password, secure + " channel_binding=require", ""},
		{"a wrong password", "u", "other", "sslmode=disable", `password authentication failed for user "u"`},
		{"a wrong password with -PLUS", "u", "other", secure, `password authentication failed for user "u"`},
		{"nobody", "nobody", password, "sslmode=disable", `password authentication failed for user "nobody"`},
		{"nobody with -PLUS", "nobody", password, secure, `password authentication failed for user "nobody"`},
		{"a rule for TLS", "tls", password, "sslmode=disable", `no pg_hba.conf entry for host "127.0.0.1", user "tls", database "d", no encryption`},
		{"no rule", "else", password, "sslmode=disable", `no pg_hba.conf entry for host "127.0.0.1", user "else", database "d", no encryption`},
		{"rejected", "rejected", password, "sslmode=disable", `pg_hba.conf rejects connection for host "127.0.0.1", user "rejected", database "d", no encryption`},
		{"a role", "boss", "", "sslmode=disable", ""},
		{"a certificate", "card", "", secure + own(ca, "card"), ""},
		{"no certificate", "card", "", secure, "connection requires a valid client certificate"},
		{"somebody else's certificate", "card", "", secure + own(ca, "carl"), `certificate authentication failed for user "card"`},
		{"a certificate and a password", "both", password, secure + own(ca, "both"), ""},
		{"a certificate and a wrong password", "both", "other", secure + own(ca, "both"), `password authentication failed for user "both"`},
		{"somebody else's certificate and a password", "both", password, secure + own(ca, "u"), `password authentication failed for user "both"`},
		{"any certificate", "any", "", secure + own(ca, "x"), ""},
		{"a server that isn't trusted", "u", password, "sslmode=verify-full sslrootcert=" + other.File, "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host, port, err := net.SplitHostPort(s.address().String())
			require.NoError(t, err)
			text := "host=" + host + " port=" + port + " user=" + c.user + " dbname=d " + c.options
			cfg, err := pgx.ParseConfig(text)
			require.NoError(t, err)
			cfg.Password = c.password
			conn, err := pgx.ConnectConfig(t.Context(), cfg)
			if err == nil {
				require.Equal(t, []int32{7}, ints(t, conn, "select 7"))
				require.NoError(t, conn.Close(t.Context()))
			}
			requireSays(t, c.want, err)

			cmd := psqlOn(t, s, "-Atc", "select 7", text)
			cmd.Env = append(os.Environ(), "PGPASSWORD="+strings.ReplaceAll(c.password, "\u00e4", "a\u0308"), "LC_ALL=C", "HOME="+t.TempDir())
			cmd.Args = slices.DeleteFunc(cmd.Args, func(a string) bool { return a == "-U" || a == "-d" })
			cmd.Args = slices.DeleteFunc(cmd.Args, func(a string) bool { return a == "u" || a == "d" })
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = errors.New(string(out))
			} else {
				require.Equal(t, "7\n", string(out))
			}
			requireSays(t, c.want, err)
		})
	}
}

func requireSays(t *testing.T, want string, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	require.ErrorContains(t, err, want)
}

// TestStrangersCertificate ends the handshake.
func TestStrangersCertificate(t *testing.T) {
	ca, other := certstest.New(t, "ca"), certstest.New(t, "other")
	s := startTCP(t, guardedConfig(t, ca, rules))
	f := other.Issue("card", certs.Files{})
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	require.NoError(t, err)
	conn := overTLS(t, s, ca, func(c *tls.Config) {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	})
	require.NotContains(t, conn.start(protocol3, map[string]string{"user": "card"}), "AuthenticationOk")
}

// TestDirectTLS: a connection may begin with it, if it names the protocol.
func TestDirectTLS(t *testing.T) {
	ca := certstest.New(t, "ca")
	s := startTCP(t, guardedConfig(t, ca, rules))
	conn := connectPgx(t, s, "sslmode=verify-full sslnegotiation=direct sslrootcert="+ca.File+" channel_binding=require", func(c *pgx.ConnConfig) { c.Password = password })
	require.Equal(t, []int32{7}, ints(t, conn, "select 7"))

	silent := overTLS(t, s, ca, func(c *tls.Config) { c.NextProtos = nil })
	require.Equal(t, "ErrorResponse FATAL 08P01 received direct SSL connection request without ALPN protocol negotiation extension\nclosed\n", silent.until(0, 1))

	again := overTLS(t, s, ca, nil)
	again.send([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f})
	require.Contains(t, again.until(0, 1), "unsupported frontend protocol 1234.5679")

	old := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{alpn}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // that is the point
	_, err := tls.Dial("tcp", s.address().String(), old)
	require.ErrorContains(t, err, "protocol version")
	_, err = tls.Dial("tcp", s.address().String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"h2"}})
	require.ErrorContains(t, err, "no application protocol")
}

// overTLS begins a connection with TLS.
func overTLS(t *testing.T, s *testServer, ca *certstest.Authority, change func(*tls.Config)) *wireClient {
	t.Helper()
	cfg := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{alpn}}
	if change != nil {
		change(cfg)
	}
	nc, err := net.Dial(s.address().Network(), s.address().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	return &wireClient{Conn: tls.Client(nc, cfg)}
}

// TestStuffing: what a client sends behind its request for TLS is never taken for its own.
func TestStuffing(t *testing.T) {
	s := startTCP(t, guardedConfig(t, certstest.New(t, "ca"), rules))
	c := dial(t, s.address())
	startup, err := (&pgproto3.StartupMessage{ProtocolVersion: protocol3, Parameters: map[string]string{"user": "nopass"}}).Encode(nil)
	require.NoError(t, err)
	c.send(append([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}, startup...))
	require.Contains(t, c.until(0, 1), "ErrorResponse FATAL 08P01 received unencrypted data after SSL request")
}

// TestCancelOverTLS: a write that is interrupted tears no record, and the session goes on.
func TestCancelOverTLS(t *testing.T) {
	ca := certstest.New(t, "ca")
	cfg := guardedConfig(t, ca, "local all all trust")
	s := startServer(t, Config{TLS: cfg.TLS})
	for _, n := range []string{"1000000", "1000", "70000"} {
		c := overTLS(t, s, ca, nil)
		require.Contains(t, c.start(protocol3, map[string]string{"user": "u"}), "ReadyForQuery I")
		for range 3 {
			b, _ := encodeAll(t, `Query "!flood `+n+`"`)
			c.send(b)
			got := readSome(t, c, 40)
			require.NoError(t, requestCancel(s.address(), c.key.ProcessID, c.key.SecretKey))
			got = readTo(t, c, got, endsInReady)
			require.Equal(t, "TDEZ", kinds(t, got))
			require.Contains(t, c.ask(t, `Query "select 1"`), "ReadyForQuery I")
		}
		require.NoError(t, c.Close())
	}
}

// TestShutdownOverTLS tells clients of it, also in an idle session.
func TestShutdownOverTLS(t *testing.T) {
	ca := certstest.New(t, "ca")
	s := startServer(t, Config{TLS: guardedConfig(t, ca, "local all all trust").TLS})
	c := overTLS(t, s, ca, nil)
	require.Contains(t, c.start(protocol3, map[string]string{"user": "u"}), "ReadyForQuery I")
	require.NoError(t, s.stop())
	require.Contains(t, c.until(0, 1), "57P01")
}

// TestSlowProof: a client that doesn't prove who it is in time is told so, and takes no session's
// place meanwhile.
func TestSlowProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, err := hba.Parse("local all believed trust\nlocal all all scram-sha-256\n")
		require.NoError(t, err)
		s, ln := startPiped(t, Config{MaxSessions: 1, Rules: v, Users: &fakeUsers{}, MockSecret: make([]byte, minSecret)})
		slow := ln.dial(t)
		began := time.Now()
		b, err := (&pgproto3.StartupMessage{ProtocolVersion: protocol3, Parameters: map[string]string{"user": "slow"}}).Encode(nil)
		require.NoError(t, err)
		slow.send(b)
		kind, body, err := slow.next()
		require.NoError(t, err)
		require.Equal(t, byte('R'), kind)
		require.Equal(t, "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00", string(body))
		other := ln.dial(t)
		require.Contains(t, other.start(pipeVersion, map[string]string{"user": "believed"}), "ReadyForQuery I")
		require.Contains(t, slow.until(0, 1), "FATAL 57014 canceling authentication due to timeout")
		require.Equal(t, s.server.cfg.StartupTimeout, time.Since(began))
		require.NoError(t, s.stop())
	})
}

// TestBadProofs: messages that no client sends.
func TestBadProofs(t *testing.T) {
	parsed, err := hba.Parse("local all all scram-sha-256")
	require.NoError(t, err)
	users := &fakeUsers{}
	s := startServer(t, Config{Rules: parsed, Users: users, MockSecret: make([]byte, minSecret)})
	first := append([]byte("SCRAM-SHA-256\x00\x00\x00\x00\x0d"), "n,,n=,r=nonce"...)
	for _, c := range []struct {
		name, raw, want string
	}{
		{name: "a query", raw: "Q\x00\x00\x00\x05\x00", want: "08P01 expected SASL response, got message type 81"},
		{name: "too long", raw: "p\x00\x01\x00\x00", want: "08P01 invalid length 65536 of a SASL response"},
		{name: "too short", raw: "p\x00\x00\x00\x03", want: "08P01 invalid length 3 of a SASL response"},
		{name: "no mechanism", raw: "p\x00\x00\x00\x05x", want: "08P01 invalid SASLInitialResponse message"},
		{name: "another length", raw: "p\x00\x00\x00\x0bx\x00\x00\x00\x00\x07y", want: "08P01 invalid SASLInitialResponse message"},
		{name: "another mechanism", raw: "p\x00\x00\x00\x0bx\x00\x00\x00\x00\x01y", want: "08P01 client selected an invalid SASL authentication mechanism"},
		{name: "garbage", raw: "p\x00\x00\x00\x17SCRAM-SHA-256\x00\x00\x00\x00\x01y", want: "08P01 malformed SCRAM message"},
		{name: "garbage at last", raw: message(first) + message([]byte("x")), want: "08P01 malformed SCRAM message"},
		{name: "a first message that comes later", raw: message([]byte("SCRAM-SHA-256\x00\xff\xff\xff\xff")) + message([]byte("n,,n=,r=nonce")) + message([]byte("x")), want: "08P01 malformed SCRAM message"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := dial(t, s.address())
			b, err := (&pgproto3.StartupMessage{ProtocolVersion: protocol3, Parameters: map[string]string{"user": "u"}}).Encode(nil)
			require.NoError(t, err)
			nc.send(append(b, c.raw...))
			answer := nc.until(0, 1)
			require.Contains(t, answer, "ErrorResponse FATAL "+c.want)
			require.NotContains(t, answer, "AuthenticationOk")
		})
	}
	users.err = &Error{Code: "57P03", Message: "etcd is away"}
	nc := dial(t, s.address())
	require.Contains(t, nc.start(protocol3, map[string]string{"user": "u"}), "ErrorResponse FATAL 57P03 etcd is away")
	require.Empty(t, s.backend.events.rest(), "no session was opened")
}

func message(body []byte) string {
	n := len(body) + 4
	return "p\x00\x00" + string([]byte{byte(n >> 8), byte(n)}) + string(body)
}

// TestPeer: a session learns who is there, and how that was proved.
func TestPeer(t *testing.T) {
	ca := certstest.New(t, "ca")
	cfg := guardedConfig(t, ca, rules)
	s := startTCP(t, cfg)
	peers := make(chan Peer, 1)
	s.backend.peer = func(p Peer) { peers <- p }
	conn := connectPgx(t, s, "sslmode=require", func(c *pgx.ConnConfig) { c.Password = password })
	p := <-peers
	require.Equal(t, hba.Scram, p.Method)
	require.GreaterOrEqual(t, p.TLS.Version, uint16(tls.VersionTLS12))
	require.Equal(t, conn.PgConn().Conn().LocalAddr().String(), p.Address.String())
	var e *pgconn.PgError
	_, err := pgx.Connect(t.Context(), conn.Config().ConnString()+" password=wrong")
	require.ErrorAs(t, err, &e)
	require.Equal(t, "28P01", e.Code)
}

// TestRulesNeed what they ask for.
func TestRulesNeed(t *testing.T) {
	for text, want := range map[string]string{
		"host all all all trust":                                 "Rules need Users",
		"\nhostssl all all all trust":                            "the rule of line 2 is for TLS, and there is no certificate",
		"hostssl all all all cert":                               "line 1",
		"local all all scram-sha-256":                            "MockSecret has 0 bytes",
		"hostssl all all all scram-sha-256 clientcert=verify-ca": "clients' certificates",
	} {
		parsed, err := hba.Parse(text)
		require.NoError(t, err)
		cfg := Config{Backend: &fakeBackend{}, Logger: slog.New(slog.DiscardHandler), Rules: parsed}
		if !strings.Contains(want, "Users") {
			cfg.Users = &fakeUsers{}
		}
		if strings.Contains(want, "certificates") {
			cfg.TLS = &tls.Config{}
		}
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

// TestEndPoint: the hash of a certificate is that of its signature.
func TestEndPoint(t *testing.T) {
	for algorithm, size := range map[x509.SignatureAlgorithm]int{
		x509.SHA1WithRSA: 32, x509.ECDSAWithSHA256: 32, x509.SHA384WithRSA: 48, x509.ECDSAWithSHA512: 64, x509.PureEd25519: 0,
	} {
		require.Len(t, endPoint(&tls.Certificate{Leaf: &x509.Certificate{SignatureAlgorithm: algorithm}}), size, algorithm.String())
	}
}
