// Package etcdtest gives tests a real etcd.
//
// # What
//
// New starts an embedded etcd in temporary directories and ends it with the test.
//
// # Invariants
//
//   - Each call has an etcd of its own, empty at first.
//   - When the test ends, nothing of it is left.
//
// # Goroutines
//
// Those of embedetcd and of etcd's clients, until the test ends.
//
// # Testing
//
// It is used by the tests of keyspace, allocator and catalog.
package etcdtest

import (
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/internal/embedetcd"
)

// Etcd is an embedded etcd that a test may stop and start again.
type Etcd struct {
	config embedetcd.Config
	server *embedetcd.Server
}

// New starts an etcd that ends with the test.
func New(tb testing.TB) *Etcd {
	tb.Helper()
	run, err := os.MkdirTemp("", "bs") //nolint:usetesting // t.TempDir has the test's name in its path
	require.NoError(tb, err)
	e := &Etcd{config: embedetcd.Config{Dir: tb.TempDir(), RunDir: run, Logger: slog.New(slog.DiscardHandler)}}
	e.Start(tb)
	tb.Cleanup(func() {
		e.Stop(tb)
		require.NoError(tb, os.RemoveAll(run))
	})
	return e
}

// Start starts the etcd again, with its data and at its address.
func (e *Etcd) Start(tb testing.TB) {
	tb.Helper()
	var err error
	e.server, err = embedetcd.Start(tb.Context(), e.config)
	require.NoError(tb, err)
}

// Stop stops the etcd, if it runs.
func (e *Etcd) Stop(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, e.server.Close())
}

// Endpoint is the address of the etcd, the same after it was started again.
func (e *Etcd) Endpoint() string { return e.server.Endpoint() }

// Client returns a client that is closed when the test ends.
func (e *Etcd) Client(tb testing.TB) *clientv3.Client {
	tb.Helper()
	c, err := e.server.Client(tb.Context())
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = c.Close() }) // its error is that of a context
	return c
}

// Client starts an etcd that ends with the test, and returns a client of it.
func Client(tb testing.TB) *clientv3.Client {
	tb.Helper()
	return New(tb).Client(tb)
}
