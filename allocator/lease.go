package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// ErrLeaseLost says that the lease has ended in etcd, and with it every key under it.
var ErrLeaseLost = errors.New("lease was lost")

// LeaseConfig is what OpenLease needs.
type LeaseConfig struct {
	Client *clientv3.Client
	// Dir is the data directory that notes the lease in its file LEASE; "" notes it
	// nowhere. One process has a data directory at a time.
	Dir string
	// TTL is how long keys outlive a process that dies; whole seconds, at least one.
	TTL    time.Duration
	Logger *slog.Logger
}

// Validate tells what is missing or out of bounds.
func (c LeaseConfig) Validate() error {
	switch {
	case c.Client == nil:
		return errors.New("allocator: lease: Client is missing")
	case c.TTL < time.Second || c.TTL%time.Second != 0:
		return fmt.Errorf("allocator: lease: TTL: %v is not a number of whole seconds", c.TTL)
	case c.Logger == nil:
		return errors.New("allocator: lease: Logger is missing")
	}
	return nil
}

// Lease is a lease of etcd that this process keeps alive.
type Lease struct {
	config LeaseConfig
	etcd   leases
	id     clientv3.LeaseID
	// deadline is until when etcd can't have ended the lease: the time before the
	// last request that it granted, and the time to live that it granted.
	deadline atomic.Pointer[time.Time]
}

// OpenLease first revokes the lease that an earlier process of the same data
// directory has left, so that a restart doesn't wait for itself, then grants a new
// one and notes it. Nothing is under the new lease before it is noted: a crash
// between leaves a lease without keys, which runs out.
func OpenLease(ctx context.Context, c LeaseConfig) (*Lease, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return openLease(ctx, c, etcdLeases{c.Client})
}

func openLease(ctx context.Context, c LeaseConfig, etcd leases) (*Lease, error) {
	began := time.Now()
	granted, err := etcd.Grant(ctx, int64(c.TTL/time.Second))
	if err != nil {
		return nil, fmt.Errorf("allocator: grant a lease: %w", err)
	}
	l := &Lease{config: c, etcd: etcd, id: granted.ID}
	l.extend(began, granted.TTL)
	if c.Dir == "" {
		return l, nil
	}
	if err := l.succeed(ctx, formatCluster(granted.GetClusterId())); err != nil {
		_, revokeErr := etcd.Revoke(ctx, l.id)
		return nil, errors.Join(fmt.Errorf("allocator: lease of %s: %w", c.Dir, err), revokeErr)
	}
	return l, nil
}

// succeed ends the lease that the data directory notes and notes ours instead.
func (l *Lease) succeed(ctx context.Context, cluster string) error {
	old, err := readLease(l.config.Dir, cluster)
	if err != nil {
		return err
	}
	if old != clientv3.NoLease {
		_, err := l.etcd.Revoke(ctx, old)
		if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return fmt.Errorf("revoke lease %s of an earlier process: %w", formatLease(old), err)
		}
		l.config.Logger.LogAttrs(ctx, slog.LevelInfo, "ended the lease of an earlier process",
			slog.String("lease", formatLease(old)), slog.Bool("had_run_out", err != nil))
	}
	return writeLease(l.config.Dir, cluster, l.id)
}

func (l *Lease) extend(began time.Time, ttl int64) {
	deadline := began.Add(time.Duration(ttl) * time.Second)
	l.deadline.Store(&deadline)
}

// ID of the lease.
func (l *Lease) ID() clientv3.LeaseID { return l.id }

// Valid tells whether the lease can't have ended yet. Both the monotonic and the
// wall clock have to agree: the first stands still while a machine is suspended.
func (l *Lease) Valid() bool {
	now, deadline := time.Now(), *l.deadline.Load()
	return now.Before(deadline) && now.Round(0).Before(deadline.Round(0))
}

// Keep keeps the lease alive until ctx is done, whose error it returns, or the
// lease is lost: ErrLeaseLost. While etcd can't be reached it goes on trying; Valid
// tells that the deadline has passed.
func (l *Lease) Keep(ctx context.Context) error {
	interval := l.config.TTL / 3
	failing := false
	for {
		pause := interval
		began := time.Now()
		ttl, err := l.keepOnce(ctx, interval)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			l.deadline.Store(&time.Time{})
			return fmt.Errorf("allocator: lease %s: %w", formatLease(l.id), ErrLeaseLost)
		case err != nil:
			if pause = interval / 10; !failing {
				l.config.Logger.LogAttrs(ctx, slog.LevelWarn, "lease can't be kept alive",
					slog.String("lease", formatLease(l.id)), slog.String("err", err.Error()))
			}
		default:
			l.extend(began, ttl)
		}
		failing = err != nil
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (l *Lease) keepOnce(ctx context.Context, timeout time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return l.etcd.keepAlive(ctx, l.id)
}

// Close ends the lease, and with it every key under it. It is called after Keep has
// returned. A lease that etcd couldn't be told of stays noted for the next process.
func (l *Lease) Close(ctx context.Context) error {
	l.deadline.Store(&time.Time{})
	if _, err := l.etcd.Revoke(ctx, l.id); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("allocator: revoke lease %s: %w", formatLease(l.id), err)
	}
	if l.config.Dir == "" {
		return nil
	}
	if err := removeLease(l.config.Dir); err != nil {
		return fmt.Errorf("allocator: lease of %s: %w", l.config.Dir, err)
	}
	return nil
}

// leases is what a Lease asks of etcd.
type leases interface {
	Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error)
	Revoke(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error)
	// keepAlive returns the seconds that the lease has from now on.
	keepAlive(ctx context.Context, id clientv3.LeaseID) (int64, error)
}

type etcdLeases struct{ *clientv3.Client }

// keepAlive sends one request and awaits its answer. The client's KeepAliveOnce
// isn't used since it repeats itself without a pause while etcd is away.
func (e etcdLeases) keepAlive(ctx context.Context, id clientv3.LeaseID) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := etcdserverpb.NewLeaseClient(e.ActiveConnection()).LeaseKeepAlive(ctx, grpc.WaitForReady(true))
	if err != nil {
		return 0, rpctypes.Error(err)
	}
	if err := stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: int64(id)}); err != nil {
		return 0, rpctypes.Error(err)
	}
	r, err := stream.Recv()
	if err != nil {
		return 0, rpctypes.Error(err)
	}
	if r.GetTTL() <= 0 {
		return 0, rpctypes.ErrLeaseNotFound
	}
	return r.GetTTL(), nil
}
