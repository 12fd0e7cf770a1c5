package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/certs/certstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log that can be read while it is written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text.Bytes(), []byte(text))
}

func load(t *testing.T, f certs.Files) (*certs.Source, *log) {
	t.Helper()
	l := new(log)
	s, err := certs.Load(f, slog.New(slog.NewTextHandler(l, nil)))
	require.NoError(t, err)
	return s, l
}

// serve answers each connection with one byte, and returns its address.
func serve(t *testing.T, s *certs.Source) string {
	t.Helper()
	config, err := s.Server("http/1.1", "h2")
	require.NoError(t, err)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				_, _ = conn.Write([]byte{'!'})
				_, _ = conn.Read(make([]byte, 1)) // until the client closes
			})
		}
	})
	t.Cleanup(func() { require.NoError(t, ln.Close()); wg.Wait() })
	return ln.Addr().String()
}

// dial tells who the server is, by its certificate; an error is of either side.
func dial(t *testing.T, address string, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1)) // A server that refuses our certificate says so only here.
	return conn.(*tls.Conn).ConnectionState(), err
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
}

// TestServerAndClient: a server by itself, and one that demands certificates.
func TestServerAndClient(t *testing.T) {
	ours, theirs := certstest.New(t, "ours"), certstest.New(t, "theirs")
	open, mutual := ours.Issue("server", certs.Files{}), ours.Issue("mutual", certs.Files{CA: ours.File})
	client := ours.Issue("client", certs.Files{CA: ours.File})
	stranger := theirs.Issue("stranger", certs.Files{CA: ours.File})
	for _, c := range []struct {
		name           string
		server, client certs.Files
		want           string
	}{
		{"anyone", open, certs.Files{CA: ours.File}, ""},
		{"an authority that isn't trusted", open, certs.Files{CA: theirs.File}, "certificate signed by unknown authority"},
		{"the authorities of the system", open, certs.Files{}, "certificate signed by unknown authority"},
		{"a client with a certificate", mutual, client, ""},
		{"a client without one", mutual, certs.Files{CA: ours.File}, "certificate required"},
		{"a client with another's", mutual, stranger, "unknown certificate authority"}, // Go itself wouldn't send it
	} {
		t.Run(c.name, func(t *testing.T) {
			server, _ := load(t, c.server)
			from, _ := load(t, c.client)
			config := from.Client()
			if own := config.Certificates; len(own) != 0 {
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own[0], nil }
			}
			_, err := dial(t, serve(t, server), config)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestProtocol: TLS 1.1 is refused, and of the protocols the server's order decides.
func TestProtocol(t *testing.T) {
	ca := certstest.New(t, "ca")
	server, _ := load(t, ca.Issue("server", certs.Files{}))
	client, _ := load(t, certs.Files{CA: ca.File})
	address := serve(t, server)
	old := client.Client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 //nolint:gosec // that is the point
	_, err := dial(t, address, old)
	require.ErrorContains(t, err, "protocol version not supported")
	for _, c := range []struct {
		offered []string
		want    string
	}{{[]string{"h2", "http/1.1"}, "http/1.1"}, {[]string{"h2"}, "h2"}, {nil, ""}} {
		config := client.Client()
		config.NextProtos = c.offered
		state, err := dial(t, address, config)
		require.NoError(t, err)
		require.Equal(t, c.want, state.NegotiatedProtocol)
	}
}

// TestReload: servers and clients use what the files have, and while those can't be
// used what they had.
func TestReload(t *testing.T) {
	first, second := certstest.New(t, "first"), certstest.New(t, "second")
	files := first.Issue("one", certs.Files{})
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	replace := func(a *certstest.Authority) {
		b, err := os.ReadFile(a.File)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(trusted, b, 0o600))
	}
	replace(first)
	server, serverLog := load(t, files)
	client, _ := load(t, certs.Files{CA: trusted})
	address := serve(t, server)
	name := func() string {
		state, err := dial(t, address, client.Client())
		if err != nil {
			return err.Error()
		}
		return state.PeerCertificates[0].Subject.CommonName
	}
	require.Equal(t, "one", name())

	first.Issue("two", files)
	eventually(t, "the server has another certificate", func() bool { return name() == "two" })

	require.NoError(t, os.WriteFile(files.Key, []byte("half of it"), 0o600))
	eventually(t, "the key can't be used", func() bool { return name() == "two" && serverLog.count("certificates can't be used") == 1 })
	require.NoError(t, os.Remove(files.Cert))
	eventually(t, "the certificate is missing", func() bool { return name() == "two" && serverLog.count("certificates can't be used") == 2 })

	second.Issue("three", files)
	eventually(t, "the client doesn't trust it yet", func() bool { return name() != "two" && name() != "three" })
	replace(second)
	eventually(t, "the client trusts the other authority", func() bool { return name() == "three" })
}

// TestRefused: files that are missing, or don't fit.
func TestRefused(t *testing.T) {
	ca := certstest.New(t, "ca")
	one, two := ca.Issue("one", certs.Files{}), ca.Issue("two", certs.Files{})
	for _, c := range []struct {
		files certs.Files
		want  string
	}{
		{certs.Files{Cert: one.Cert}, "there is a certificate (" + one.Cert + "), and no key"},
		{certs.Files{Key: one.Key}, "there is a key (" + one.Key + "), and no certificate"},
		{certs.Files{Cert: one.Cert, Key: two.Key}, "private key does not match public key"},
		{certs.Files{Cert: one.Cert, Key: "/nowhere"}, "open /nowhere: no such file or directory"},
		{certs.Files{CA: one.Key}, one.Key + " has no certificate"},
	} {
		_, err := certs.Load(c.files, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, c.want)
	}
	client, _ := load(t, certs.Files{CA: ca.File})
	_, err := client.Server()
	require.ErrorIs(t, err, certs.ErrNoCertificate)
}

// TestCredentials are of clients: they verify the server, and only that.
func TestCredentials(t *testing.T) {
	ca := certstest.New(t, "ca")
	server, _ := load(t, ca.Issue("server", certs.Files{}))
	client, _ := load(t, certs.Files{CA: ca.File})
	address := serve(t, server)
	c := client.Credentials().Clone()
	require.Equal(t, "tls", c.Info().SecurityProtocol)
	require.Error(t, c.OverrideServerName("x")) //nolint:staticcheck // part of the interface
	_, _, err := c.ServerHandshake(nil)
	require.ErrorIs(t, err, certs.ErrNoCertificate)
	for authority, fits := range map[string]bool{"localhost": true, "elsewhere": false} {
		raw, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, _, err = c.ClientHandshake(t.Context(), authority, raw)
		require.Equal(t, fits, err == nil, "%v", err)
		_ = raw.Close() // The handshake has closed it if it failed.
	}
}
