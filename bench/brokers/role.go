package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/embedetcd"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// brokerFlags are those of the role of a broker.
type brokerFlags struct{ name, etcd, dir, store, ack string }

// serveBroker is the role of a broker of a fleet.
func serveBroker(args []string) error {
	var f brokerFlags
	fs := flag.NewFlagSet("broker", flag.ContinueOnError)
	fs.StringVar(&f.name, "name", "broker", "suffix of its id")
	fs.StringVar(&f.etcd, "etcd", "", "endpoint of etcd")
	fs.StringVar(&f.dir, "dir", "", "its directory")
	fs.StringVar(&f.store, "store", "", "directory that file:/// is")
	fs.StringVar(&f.ack, "ack", "replicated", "when an append is acknowledged")
	if err := fs.Parse(args); err != nil {
		return err
	}
	mode := spool.Replicated
	if f.ack == spool.Synced.String() {
		mode = spool.Synced
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{f.etcd}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	stores, err := store.NewRegistry(store.RegistryConfig{FileRoot: f.store})
	if err != nil {
		return errors.Join(err, etcd.Close())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, etcd.Close(), stores.Close())
	}
	b, err := broker.New(broker.Config{
		ID: &protocol.ProcessSpec_ID{Zone: "local", Suffix: f.name}, Endpoint: "http://" + ln.Addr().String(),
		Listeners: []net.Listener{ln}, Etcd: etcd, MaxTxnOps: embedetcd.MaxTxnOps, JournalLimit: 1 << 16,
		LeaseTTL: time.Minute, Dir: f.dir, Mode: mode, Stores: stores, Grace: time.Second,
		Logger:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		return errors.Join(err, ln.Close(), etcd.Close(), stores.Close())
	}
	return errors.Join(runBroker(b, ln.Addr()), etcd.Close(), stores.Close())
}

// runBroker until nothing more is asked.
func runBroker(b *broker.Broker, address net.Addr) error {
	group := task.New(context.Background(), "bench broker")
	group.Go("serve", b.Serve)
	select {
	case <-b.Ready():
		fmt.Println(address)
	case <-group.Context().Done():
		return group.Wait()
	}
	err := answer()
	group.Cancel()
	return errors.Join(err, group.Wait())
}
