package pgwire

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// The files in testdata are conversations:
//
//	server [sessions=n] [starting=n] [message=n] [row=n] [prepared=n] [bytes=n] [pipe]
//	connect [name] [3.2] [eventually] [parameter=value ...]
//	                                             starts a session, once there is a place
//	dial [name]                                  only connects
//	send [name] [until=message] [until=closed]   phrases, one per line, and the answer up to
//	                                             the last ReadyForQuery that they ask for
//	write [name]                                 phrases, and no answer
//	receive [name] until=message                 the answer
//	bytes [name] n=1                             bytes that aren't messages
//	cancel [name] [pid=wrong] [secret=wrong]     asks to cancel what the session does
//	close [name]                                 the client goes away
//	await                                        waits for an event of the session
//	shutdown                                     ends the server
//	log [n]                                      what the server logged, once there are n
//
// Those in testdata/postgres have PostgreSQL's own answers. To check or write them anew:
//
//	go test ./pgwire -run TestPostgres -postgres 'host=/socket/dir user=postgres' [-rewrite]
var postgresAt = flag.String("postgres", "", "connection `string` of a PostgreSQL 15 to hold testdata/postgres against")

// TestPostgres holds this package's server, or PostgreSQL itself, against PostgreSQL's
// answers.
func TestPostgres(t *testing.T) { runScenarios(t, "testdata/postgres", *postgresAt) }

// TestScenarios runs the conversations that have no counterpart in PostgreSQL.
func TestScenarios(t *testing.T) { runScenarios(t, "testdata/broadsheet", "") }

func runScenarios(t *testing.T, dir, postgres string) {
	t.Helper()
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		s := &scenario{clients: map[string]*wireClient{}}
		if postgres != "" {
			cfg, err := pgconn.ParseConfig(postgres)
			require.NoError(t, err)
			network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
			s.external, s.user = &net.UnixAddr{Net: network, Name: address}, cfg.User
		}
		datadriven.RunTest(t, path, s.run)
	})
}

// scenario runs one file.
type scenario struct {
	external net.Addr // of PostgreSQL
	user     string
	server   *testServer
	clients  map[string]*wireClient
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	if s.server == nil && s.external == nil {
		s.server = startServer(t, serverConfig(t, d))
	}
	name := "a"
	if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
		name = d.CmdArgs[0].Key
	}
	c := s.clients[name]
	switch d.Cmd {
	case "server":
		return ""
	case "dial":
		s.clients[name] = dial(t, s.address())
		return ""
	case "connect":
		return s.connect(t, d, name)
	case "send":
		b, n := encodeAll(t, lines(d.Input)...)
		c.send(b)
		kind, times := until(t, d, 'Z', n)
		return c.until(kind, times)
	case "write":
		b, _ := encodeAll(t, lines(d.Input)...)
		c.send(b)
		return ""
	case "receive":
		kind, times := until(t, d, 'Z', 1)
		return c.until(kind, times)
	case "bytes":
		return c.bytes(t, d)
	case "cancel":
		return s.cancel(t, d, c)
	case "close":
		require.NoError(t, c.Close())
		return ""
	case "await":
		return s.await(t, d.Input)
	case "shutdown":
		require.NoError(t, s.server.stop())
		return "served\n"
	case "log":
		return s.logged(t, d)
	default:
		t.Fatalf("%s: no command is called %s", d.Pos, d.Cmd)
		return ""
	}
}

func (s *scenario) address() net.Addr {
	if s.external != nil {
		return s.external
	}
	return s.server.address()
}

// connect starts a session. Of PostgreSQL's many parameters only application_name matters.
func (s *scenario) connect(t *testing.T, d *datadriven.TestData, name string) string {
	version := uint32(protocol3)
	params := map[string]string{"user": "postgres"}
	if s.user != "" {
		params["user"] = s.user
	}
	for _, a := range d.CmdArgs {
		if a.Key == "3.2" {
			version += 2
			continue
		}
		if len(a.Vals) == 1 {
			params[a.Key] = a.Vals[0]
		}
	}
	c := dial(t, s.address())
	answer := c.start(version, params)
	for d.HasArg("eventually") && strings.Contains(answer, "53300") { // a place is being released
		c = dial(t, s.address())
		answer = c.start(version, params)
	}
	s.clients[name] = c
	var out strings.Builder
	for line := range strings.Lines(answer) {
		if !strings.HasPrefix(line, "ParameterStatus ") || strings.HasPrefix(line, "ParameterStatus application_name") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// cancel sends a cancel request for a client's session.
func (s *scenario) cancel(t *testing.T, d *datadriven.TestData, c *wireClient) string {
	pid, secret := c.key.ProcessID, bytes.Clone(c.key.SecretKey)
	if d.HasArg("pid") {
		pid += 1000
	}
	if d.HasArg("secret") {
		secret[0] ^= 1
	}
	if d.HasArg("short") {
		secret = secret[:3]
	}
	require.NoError(t, requestCancel(s.address(), pid, secret))
	return fmt.Sprintf("with a secret of %d bytes\n", len(secret))
}

func (s *scenario) await(t *testing.T, event string) string {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := s.server.backend.events.take(ctx, event)
	if err != nil {
		return "FAILED " + err.Error() + "\n"
	}
	return got + "\n"
}

// logged prints what was logged, or a number of records once they were, sorted.
func (s *scenario) logged(t *testing.T, d *datadriven.TestData) string {
	n := 0
	if len(d.CmdArgs) > 0 {
		var err error
		n, err = strconv.Atoi(d.CmdArgs[0].Key)
		require.NoError(t, err)
	}
	var records []string
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range n {
		record, err := s.server.log.take(ctx, "")
		require.NoError(t, err)
		records = append(records, record)
	}
	slices.Sort(records)
	return strings.Join(append(records, s.server.log.rest()...), "\n")
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// until is the message that ends an answer.
func until(t *testing.T, d *datadriven.TestData, kind byte, n int) (byte, int) {
	for _, a := range d.CmdArgs {
		if a.Key != "until" {
			continue
		}
		if a.Vals[0] == "closed" {
			return 0, 1
		}
		for k := byte(' '); k < 127; k++ {
			if m := backendMessage(k); m != nil && fmt.Sprintf("%T", m) == "*pgproto3."+a.Vals[0] {
				return k, 1
			}
		}
		t.Fatalf("%s: no message is called %s", d.Pos, a.Vals[0])
	}
	return kind, n
}

// serverConfig reads the arguments of the command server.
func serverConfig(t *testing.T, d *datadriven.TestData) Config {
	var cfg Config
	if d.Cmd != "server" {
		return cfg
	}
	for _, a := range d.CmdArgs {
		n, err := strconv.Atoi(a.Vals[0])
		require.NoError(t, err)
		switch a.Key {
		case "sessions":
			cfg.MaxSessions = n
		case "starting":
			cfg.MaxStarting = n
		case "message":
			cfg.MaxMessage = n
		case "row":
			cfg.MaxRow = n
		case "prepared":
			cfg.MaxPrepared = n
		case "bytes":
			cfg.MaxPreparedBytes = n
		default:
			t.Fatalf("%s: a server has no %s", d.Pos, a.Key)
		}
	}
	return cfg
}

// testServer is a server over fake sessions.
type testServer struct {
	server  *Server
	backend *fakeBackend
	ln      net.Listener
	stop    func() error

	log events
}

func (s *testServer) address() net.Addr { return s.ln.Addr() }

// Write takes a record that is logged.
func (s *testServer) Write(p []byte) (int, error) {
	s.log.add("%s", bytes.TrimSuffix(p, []byte("\n")))
	return len(p), nil
}

// startServer serves on a unix socket, until stop or the end of the test.
func startServer(t *testing.T, cfg Config) *testServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "bs") //nolint:usetesting // t.TempDir is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	return startServerOn(t, cfg, ln)
}

// startTCP serves on TCP, and tells clients of the settings that drivers look at.
func startTCP(t *testing.T, cfg Config) *testServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cfg.Backend = &fakeBackend{known: learn(), settings: [][2]string{
		{"client_encoding", "UTF8"}, {"standard_conforming_strings", "on"}, {"server_version", "15.0"},
	}}
	return startServerOn(t, cfg, ln)
}

func startServerOn(t *testing.T, cfg Config, ln net.Listener) *testServer {
	t.Helper()
	if cfg.Backend == nil {
		cfg.Backend = &fakeBackend{known: learn()}
	}
	s := &testServer{ln: ln, backend: cfg.Backend.(*fakeBackend)}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "stack" {
				return slog.Attr{}
			}
			return a
		}}))
	}
	var err error
	s.server, err = New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(ctx, ln) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return fmt.Errorf("Serve did not return within %v", patience)
		}
	})
	t.Cleanup(func() { require.NoError(t, s.stop()) })
	return s
}
