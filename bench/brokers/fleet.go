package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/internal/embedetcd"
	"broadsheet.dev/broadsheet/protocol"
)

// fleet of brokers, each a process, over an etcd in this one and a store in a directory.
type fleet struct {
	dir     string
	etcd    *embedetcd.Server
	brokers []*process
	admin   *client.Client
}

// startFleet of so many brokers, which acknowledge as ack says.
func startFleet(ctx context.Context, size int, ack string) (*fleet, error) {
	dir, err := os.MkdirTemp("", "bsb")
	if err != nil {
		return nil, err
	}
	f := &fleet{dir: dir}
	if err := f.start(ctx, size, ack); err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

func (f *fleet) start(ctx context.Context, size int, ack string) error {
	var err error
	f.etcd, err = embedetcd.Start(ctx, embedetcd.Config{
		Dir: filepath.Join(f.dir, "etcd"), RunDir: filepath.Join(f.dir, "run"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	store := filepath.Join(f.dir, "store")
	if err := os.Mkdir(store, 0o750); err != nil {
		return err
	}
	for i := range size {
		name := fmt.Sprintf("broker-%d", i)
		p, err := start("broker", "-name", name, "-etcd", f.etcd.Endpoint(), "-dir", filepath.Join(f.dir, name), "-store", store, "-ack", ack)
		if err != nil {
			return err
		}
		f.brokers = append(f.brokers, p)
	}
	f.admin, err = client.Dial(ctx, client.Config{Endpoint: "http://" + f.brokers[0].address})
	return err
}

// stop all of it, and remove what it kept.
func (f *fleet) stop() {
	if f.admin != nil {
		_ = f.admin.Close()
	}
	for _, p := range f.brokers {
		p.stop()
	}
	if f.etcd != nil {
		_ = f.etcd.Close()
	}
	_ = os.RemoveAll(f.dir)
}

// fragmentLength closes a fragment now and then, as a broker's does: to store them is part of the cost.
const fragmentLength = 256 << 20

// create so many journals below a name, and return their names once they take appends.
func (f *fleet) create(ctx context.Context, name string, count int) ([]string, error) {
	var names []string
	var changes []*protocol.ApplyRequest_Change
	for i := range count {
		names = append(names, fmt.Sprintf("%s/%04d", name, i))
		changes = append(changes, &protocol.ApplyRequest_Change{Upsert: &protocol.JournalSpec{
			Name: names[i], Replication: int32(len(f.brokers)), //nolint:gosec // it is small
			Fragment: &protocol.JournalSpec_Fragment{
				Length: fragmentLength, CompressionCodec: protocol.CompressionCodec_NONE,
				Stores: []string{"file:///"}, RefreshInterval: durationpb.New(5 * time.Minute),
			},
		}})
	}
	if _, err := f.admin.ApplyInBatches(ctx, changes, 32); err != nil {
		return nil, err
	}
	return names, f.warmUp(ctx, names)
}

// warmUp waits until every journal takes appends, and makes two: the first of a journal closes its
// fragment, which is stored at once.
func (f *fleet) warmUp(ctx context.Context, names []string) error {
	c, err := f.dial(ctx, false)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(8)
	for _, name := range names {
		eg.Go(func() error {
			for range 2 {
				if _, err := c.Append(ctx, client.AppendParams{Journal: name}, strings.NewReader("warm\n")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return eg.Wait()
}

// dial the fleet, knowing who has which journal.
func (f *fleet) dial(ctx context.Context, streams bool) (*client.Client, error) {
	return client.Dial(ctx, client.Config{
		Endpoint: "http://" + f.brokers[0].address, Routes: client.RouteCache{Size: 1 << 14}, AppendStreams: streams,
	})
}

// cpu of all brokers.
func (f *fleet) cpu() time.Duration {
	var sum time.Duration
	for _, p := range f.brokers {
		sum += p.cpu()
	}
	return sum
}
