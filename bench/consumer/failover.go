package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/message"
)

// ending of a host's process.
type ending struct {
	name     string
	signal   syscall.Signal
	standbys uint32
}

// failover is how long a shard has no primary after the process that has it was killed, and after it was told to leave, until
// the other one of two is its primary.
func (b *bench) failover(ctx context.Context) error {
	b.Section("A shard without a primary, s", "median", "longest", "lease")
	f, err := b.startFleet(ctx)
	if err != nil {
		return err
	}
	defer f.stop()
	if err := f.create(ctx, message.JSONLines, source); err != nil {
		return err
	}
	for i, e := range []ending{
		{"SIGKILL, hot standby", syscall.SIGKILL, 1},
		{"SIGKILL, none", syscall.SIGKILL, 0},
		{"graceful exit, hot standby", syscall.SIGTERM, 1},
		{"graceful exit, none", syscall.SIGTERM, 0},
	} {
		var all []float64
		for round := range b.repeat {
			gap, err := b.end(ctx, f, fmt.Sprintf("failover-%d-%d", i, round), e)
			if err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
			all = append(all, gap.Seconds())
		}
		b.Add(e.name, figures.Median(all), slices.Max(all), b.lease.Seconds())
	}
	return nil
}

// member is a process that runs shards.
type member struct {
	*process

	id   string
	conn *grpc.ClientConn
}

func (m *member) stop() {
	m.kill()
	_ = m.conn.Close()
}

// member starts a process that runs the shards of a name.
func (b *bench) member(f *fleet, name, id string) (*member, error) {
	dir, err := os.MkdirTemp(f.dir, "member")
	if err != nil {
		return nil, err
	}
	p, err := launch(f.program, "consumer", "--etcd.address", f.etcd.said["etcd"], "--etcd.prefix", "/gazette/consumers/"+name,
		"--etcd.lease", b.lease.String(), "--broker.address", f.endpoint(), "--data-dir", dir,
		"--consumer.bind", "127.0.0.1", "--consumer.host", "127.0.0.1", "--consumer.id", id)
	if err != nil {
		return nil, err
	}
	conn, err := dial(p.said["consumer"])
	if err != nil {
		p.kill()
		return nil, err
	}
	return &member{p, id, conn}, nil
}

// end the process that has a shard, and tell how long that had no primary then: from the moment of the signal, or from the last one
// at which a host that leaves was its primary still.
func (b *bench) end(ctx context.Context, f *fleet, name string, e ending) (time.Duration, error) {
	has, err := b.member(f, name, "first")
	if err != nil {
		return 0, err
	}
	defer has.stop()
	s := spec(name, source, true)
	s.HotStandbys = e.standbys
	if err := f.apply(ctx, has.conn, s); err != nil {
		return 0, err
	}
	if err := awaitCode(ctx, has.conn, name, has.id, shards.ReplicaStatus_PRIMARY); err != nil {
		return 0, err
	}
	other, err := b.member(f, name, "second")
	if err != nil {
		return 0, err
	}
	defer other.stop()
	if e.standbys > 0 {
		if err := awaitCode(ctx, other.conn, name, other.id, shards.ReplicaStatus_STANDBY); err != nil {
			return 0, err
		}
	}
	return gap(ctx, name, has, other, e.signal)
}

func gap(ctx context.Context, id string, has, other *member, signal syscall.Signal) (time.Duration, error) {
	last := time.Now()
	if err := has.cmd.Process.Signal(signal); err != nil {
		return 0, err
	}
	err := until(ctx, "the other process is to have the shard", func(ctx context.Context) (bool, error) {
		asked := time.Now()
		all, err := replicas(ctx, other.conn, id)
		if err != nil {
			return false, err
		}
		if signal == syscall.SIGTERM && all[has.id] == shards.ReplicaStatus_PRIMARY && all[other.id] != shards.ReplicaStatus_PRIMARY {
			last = asked
		}
		return all[other.id] == shards.ReplicaStatus_PRIMARY, nil
	})
	return time.Since(last), err
}
