package embedetcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

const (
	// tickMs and electionMs are etcd's heartbeat and election timeout. A single
	// member elects itself after one election timeout at most, and nobody else
	// hears its heartbeats: so they are as short as etcd's own idle cost allows.
	tickMs     = 20
	electionMs = 100

	// MaxTxnOps is the number of operations (and of compares) that a transaction
	// of the embedded etcd may have. An external etcd has 128 unless told otherwise.
	MaxTxnOps = 1024

	// retention of history: a watch that is further behind loads its prefix again.
	retention = "1h"

	// grace is how long Close lets requests end by themselves. Watches and lease
	// keep-alives never do.
	grace = 100 * time.Millisecond

	// maxSocketPath is the least of the limits that kernels set, without its final 0.
	maxSocketPath = 103

	// peerURL is recorded in the membership and never listened on or dialled.
	peerURL = "unix://embedded.invalid"
)

// Config of a Server.
type Config struct {
	Dir    string // data; made if it doesn't exist
	RunDir string // holds the socket; made if it doesn't exist; its path is short
	Logger *slog.Logger
	// Fatal is called, on a goroutine of etcd's, when the server can't go on, as when its disk is full. What it then
	// holds isn't let go, so that nothing can be stopped in order: it is to end the process. Nil is a panic.
	Fatal func(error)
}

// Validate tells what is missing or too long.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("embedetcd: Dir is missing")
	case c.RunDir == "":
		return errors.New("embedetcd: RunDir is missing")
	case c.Logger == nil:
		return errors.New("embedetcd: Logger is missing")
	}
	socket, err := c.socket()
	if err != nil {
		return err
	}
	if len(socket) > maxSocketPath {
		return fmt.Errorf("embedetcd: RunDir: socket path %q has %d bytes, at most %d work", socket, len(socket), maxSocketPath)
	}
	return nil
}

func (c Config) socket() (string, error) {
	dir, err := filepath.Abs(c.RunDir)
	if err != nil {
		return "", fmt.Errorf("embedetcd: RunDir: %w", err)
	}
	return filepath.Join(dir, "etcd.sock"), nil
}

// Server is a running etcd member.
type Server struct {
	dir      string
	endpoint string
	logger   *zap.Logger
	locks    []*os.File
	etcd     *embed.Etcd
	grpc     chan *grpc.Server // holds the client-facing server once it serves

	closing atomic.Bool
	once    sync.Once
}

// Start opens c.Dir and returns when the server answers a linearizable read, or
// with an error when ctx is done first. Errors are ErrLocked and ErrNewerFormat
// among others. A failed start leaves nothing running, save where etcd panics over
// damaged data: then the process should end.
func Start(ctx context.Context, c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	socket, err := c.socket()
	if err != nil {
		return nil, err
	}
	s := &Server{
		dir:      c.Dir,
		endpoint: "unix://" + socket,
		grpc:     make(chan *grpc.Server, 1),
	}
	s.logger = newZapLogger(c.Logger, &s.closing, c.Fatal)
	if err := s.start(ctx, c, socket); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, c Config, socket string) error {
	for _, d := range []string{c.Dir, c.RunDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("embedetcd: %w", err)
		}
	}
	if err := os.Chmod(c.RunDir, 0o700); err != nil {
		return fmt.Errorf("embedetcd: %w", err)
	}
	for _, path := range []string{filepath.Join(c.Dir, "LOCK"), filepath.Join(c.RunDir, "etcd.lock")} {
		f, err := lock(path)
		if err != nil {
			return err
		}
		s.locks = append(s.locks, f)
	}
	f, err := takeFormat(c.Dir, format{Format: formatVersion, EtcdMajor: etcdVersion.major, EtcdMinor: etcdVersion.minor})
	if err != nil {
		return err
	}
	if err := s.open(s.etcdConfig(f.Token, socket)); err != nil {
		return fmt.Errorf("embedetcd: %s: %w", c.Dir, err)
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	return markReady(c.Dir, f)
}

// etcdVersion is that of the etcd we are linked with.
var etcdVersion = struct{ major, minor int64 }{version.V3_7.Major, version.V3_7.Minor}

func (s *Server) etcdConfig(token, socket string) *embed.Config {
	client := url.URL{Scheme: "unix", Path: socket}
	peer := url.URL{Scheme: "unix", Host: "embedded.invalid"}
	c := embed.NewConfig()
	c.Name = "embedded"
	c.Dir = storeDir(s.dir)
	c.ListenPeerUrls = nil // a lone member has no peers to listen for
	c.AdvertisePeerUrls = []url.URL{peer}
	c.ListenClientUrls = []url.URL{client}
	c.AdvertiseClientUrls = []url.URL{client}
	c.InitialCluster = c.Name + "=" + peerURL
	c.InitialClusterToken = token
	c.TickMs, c.ElectionMs = tickMs, electionMs
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, retention
	c.MaxTxnOps = MaxTxnOps
	c.EnableGRPCGateway = false
	// Slow disks are the operator's to see in our own latencies; etcd's defaults
	// would write a warning for every request above 100 and 300 ms.
	c.WarningApplyDuration, c.WarningUnaryRequestDuration = 2*time.Second, 2*time.Second
	c.ServiceRegister = func(g *grpc.Server) { s.grpc <- g }
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(s.logger)
	return c
}

// open starts etcd, and returns as an error what etcd panics with on bad data.
func (s *Server) open(c *embed.Config) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("etcd can't open its data: %v", r)
		}
	}()
	s.etcd, err = embed.StartEtcd(c)
	return err
}

func (s *Server) awaitReady(ctx context.Context) error {
	select {
	case <-s.etcd.Server.ReadyNotify():
	case err := <-s.etcd.Err():
		return fmt.Errorf("embedetcd: %s: %w", s.dir, err)
	case <-ctx.Done():
		return fmt.Errorf("embedetcd: %s: not ready: %w", s.dir, context.Cause(ctx))
	}
	c, err := s.Client(ctx)
	if err != nil {
		return err
	}
	return c.Close()
}

// Endpoint is the address of the server: unix:// and the absolute path of its socket.
func (s *Server) Endpoint() string { return s.endpoint }

// Stopped is closed when the server has ended, by Close or by a failure of its own.
func (s *Server) Stopped() <-chan struct{} { return s.etcd.Server.StopNotify() }

// Client returns a new client that the caller closes. ctx bounds the linearizable
// read that proves the connection, not the client's life.
func (s *Server) Client(ctx context.Context) (*clientv3.Client, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.endpoint}, Logger: s.logger})
	if err != nil {
		return nil, fmt.Errorf("embedetcd: %s: %w", s.endpoint, err)
	}
	if _, err := c.Get(ctx, "\x00", clientv3.WithCountOnly()); err != nil {
		return nil, errors.Join(fmt.Errorf("embedetcd: %s: %w", s.endpoint, err), c.Close())
	}
	return c, nil
}

// Close stops the server, waits until all of it has ended and gives its locks
// back. Requests still running after a short grace are cut off. It may be called
// more than once; only the first call does and returns something.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		s.closing.Store(true)
		if s.etcd != nil {
			s.stopServing()
			s.etcd.Close()
		}
		for _, f := range s.locks {
			err = errors.Join(err, f.Close())
		}
	})
	return err
}

// stopServing cuts the clients off, since etcd's own Close waits seconds for
// streams that never end by themselves.
func (s *Server) stopServing() {
	select {
	case g := <-s.grpc:
		cut := time.AfterFunc(grace, g.Stop)
		g.GracefulStop()
		cut.Stop()
	default:
	}
}
