package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest"
	"broadsheet.dev/broadsheet/internal/embedetcd"
	"broadsheet.dev/broadsheet/protocol"
)

// shardHost is the host of serve's shards, whose applications are programs. It has no port: the broker's is its own.
type shardHost struct {
	*consumer.Host

	app     *guest.App
	brokers *client.Client
	metrics *prometheus.Registry
}

// newShardHost makes the host. It is reached at the broker's endpoint, and reaches the broker by its socket.
func (n *node) newShardHost(ctx context.Context, etcd *clientv3.Client, endpoint string) (*shardHost, error) {
	dir, err := n.dir.Sub("consumer")
	if err != nil {
		return nil, err
	}
	h := &shardHost{metrics: prometheus.NewRegistry()}
	log := n.log.With(slog.String("role", "consumer"))
	// It has metrics of the same names as the broker has.
	metrics := prometheus.WrapRegistererWith(prometheus.Labels{"role": "consumer"}, h.metrics)
	if h.app, err = guest.New(guest.Config{Logger: log, Registerer: metrics}); err != nil {
		return nil, err
	}
	credentials, err := flags.Credentials(n.served.own, "")
	if err != nil {
		return nil, err
	}
	h.brokers, err = client.Dial(ctx, client.Config{
		Endpoint: "unix://" + n.brokerSocket(), Credentials: credentials, Logger: log, Metrics: metrics,
	})
	if err != nil {
		return nil, err
	}
	cfg := consumer.Config{
		ID: &protocol.ProcessSpec_ID{Zone: "local", Suffix: "consumer-1"}, Endpoint: endpoint, Brokers: h.brokers,
		Etcd: etcd, Prefix: defaultConsumerPrefix, MaxTxnOps: embedetcd.MaxTxnOps, LeaseTTL: leaseTTL, Dir: dir,
		Keys: n.served.security.Keys, Logger: log, Registerer: metrics,
	}
	h.app.Configure(&cfg)
	if h.Host, err = consumer.New(cfg); err != nil {
		h.close()
		return nil, err
	}
	h.app.Bind(h.Host)
	return h, nil
}

// neighbour of the broker, at whose ports the host is served.
func (h *shardHost) neighbour() *broker.Neighbour {
	return &broker.Neighbour{Register: h.RegisterServices, Handler: h.Handler(), Prefix: consumer.HandlerPrefix}
}

// serve until ctx is done, once the broker serves.
func (h *shardHost) serve(ctx context.Context, brokerReady <-chan struct{}) error {
	select {
	case <-brokerReady:
	case <-ctx.Done():
		return nil
	}
	return h.Serve(ctx)
}

// close what the host was made of, once neither it nor the broker serves.
func (h *shardHost) close() {
	h.app.Close()
	_ = h.brokers.Close() // All RPCs have ended.
}
