package main

import (
	"context"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest"
	"broadsheet.dev/broadsheet/consumer/run"
)

func consumerCommand() *cobra.Command {
	var app *guest.App
	return run.Command(nil, run.Options{
		Name:  "consumer",
		Short: "Run shards whose applications are programs in any language, as one host of a fleet",
		Long: `Run shards whose applications are programs in any language, as one host of a fleet that an etcd
coordinates. Programs reach their shards over gRPC (broadsheet.shard.v1) or in JSON (/v1/shards/transaction, commit and
state), at any of the hosts.

It prints its address; "ready" follows once it is given shards. SIGTERM or Ctrl-C makes it leave: it goes on
until others have its shards, or nobody can take them, for --consumer.drain at most. A second one ends it at
once: what wasn't committed is consumed again by who has the shard next.`,
		Prefix:  defaultConsumerPrefix,
		DataDir: "./data",
		Init: func(_ context.Context, cfg *consumer.Config) error {
			var err error
			if app, err = guest.New(guest.Config{Logger: cfg.Logger, Registerer: cfg.Registerer}); err == nil {
				app.Configure(cfg)
			}
			return err
		},
		Bind:  func(h *consumer.Host) { app.Bind(h) },
		Close: func() error { app.Close(); return nil },
	})
}
