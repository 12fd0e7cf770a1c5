package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"
)

// checkEvery is how often files are looked at, at most.
const checkEvery = time.Second

// Files of one side of a connection, in PEM.
type Files struct {
	// Cert is the certificate of this side, with those that lead to its authority, and
	// Key its private key. A client may have neither.
	Cert, Key string
	// CA has the authorities that the other side's certificate is to be signed by. A
	// client without one trusts those of the system, a server demands no certificate.
	CA string
}

// IsZero tells that there are none.
func (f Files) IsZero() bool { return f == Files{} }

// Validate tells which are missing.
func (f Files) Validate() error {
	switch {
	case f.Cert == "" && f.Key != "":
		return fmt.Errorf("there is a key (%s), and no certificate", f.Key)
	case f.Cert != "" && f.Key == "":
		return fmt.Errorf("there is a certificate (%s), and no key", f.Cert)
	}
	return nil
}

// Source of certificates. Make it with Load.
type Source struct {
	files Files
	log   *slog.Logger

	mu      sync.Mutex
	checked time.Time
	text    map[string]string // of the files when they were last looked at
	problem string            // why they couldn't be used then
	loaded  *material
}

// material is what files have. It never changes.
type material struct {
	certs []tls.Certificate
	roots *x509.CertPool // nil if there is no CA
}

// Load reads files. The logger is told when they change, and when they can't be used.
func Load(files Files, log *slog.Logger) (*Source, error) {
	if err := files.Validate(); err != nil {
		return nil, err
	}
	s := &Source{files: files, log: log, checked: time.Now()}
	var err error
	if s.text, err = files.read(); err != nil {
		return nil, err
	}
	s.loaded, err = files.parse(s.text)
	return s, err
}

func (f Files) read() (map[string]string, error) {
	text := make(map[string]string)
	for _, name := range []string{f.Cert, f.Key, f.CA} {
		if name == "" {
			continue
		}
		b, err := os.ReadFile(name) //nolint:gosec // the operator named it
		if err != nil {
			return nil, err
		}
		text[name] = string(b)
	}
	return text, nil
}

func (f Files) parse(text map[string]string) (*material, error) {
	m := new(material)
	if f.Cert != "" {
		c, err := tls.X509KeyPair([]byte(text[f.Cert]), []byte(text[f.Key]))
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
		}
		m.certs = []tls.Certificate{c}
	}
	if f.CA != "" {
		m.roots = x509.NewCertPool()
		if !m.roots.AppendCertsFromPEM([]byte(text[f.CA])) {
			return nil, fmt.Errorf("%s has no certificate", f.CA)
		}
	}
	return m, nil
}

// current is what the files have, or had when they could last be used.
func (s *Source) current() *material {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.checked) < checkEvery {
		return s.loaded
	}
	s.checked = now
	text, err := s.files.read()
	if err == nil {
		if maps.Equal(text, s.text) {
			return s.loaded
		}
		s.text = text
		var m *material
		if m, err = s.files.parse(text); err == nil {
			s.loaded, s.problem = m, ""
			s.log.LogAttrs(context.Background(), slog.LevelInfo, "certificates were read again", slog.String("cert", s.files.Cert), slog.String("ca", s.files.CA))
			return m
		}
	}
	if err.Error() != s.problem {
		s.problem = err.Error()
		s.log.LogAttrs(context.Background(), slog.LevelError, "certificates can't be used, and those from before still are", slog.Any("error", err))
	}
	return s.loaded
}

// ErrNoCertificate tells that a server's files have no certificate.
var ErrNoCertificate = errors.New("a server needs a certificate and its key")

// errOverride tells of what nobody should do.
var errOverride = errors.New("the name of the server can't be overridden: use grpc.WithAuthority")

// Server returns the configuration of a server which offers the protocols, the one it
// likes best first.
func (s *Source) Server(protocols ...string) (*tls.Config, error) {
	if s.files.Cert == "" {
		return nil, ErrNoCertificate
	}
	config := func() *tls.Config {
		m := s.current()
		c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: m.certs, NextProtos: protocols}
		if m.roots != nil {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, m.roots
			c.SessionTicketsDisabled = true
		}
		return c
	}
	outer := config()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return config(), nil }
	return outer, nil
}

// Client returns the configuration of one client's connection.
func (s *Source) Client() *tls.Config {
	m := s.current()
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: m.certs, RootCAs: m.roots}
}
