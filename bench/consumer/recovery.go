package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// textBytes is how long the text of a message is that goes into a log which is recovered.
const textBytes = 1000

// recovered is what one recovery took.
type recovered struct {
	log       float64 // GB
	cold, hot time.Duration
}

// recovery is how long a shard with Pebble has no primary once it is known that its host is gone: with a standby that has all of its
// log, and without one, where the log is played to an empty disk.
func (b *bench) recovery(ctx context.Context) error {
	b.Section("Recovery of a shard in Pebble", "GB of log", "s", "s per GB of log")
	f, err := b.startFleet(ctx)
	if err != nil {
		return err
	}
	defer f.stop()
	head, err := f.fill(ctx, source, b.logged, b.logged, textBytes)
	if err != nil {
		return err
	}
	var sizes, colds, hots []float64
	for round := range b.repeat {
		r, err := f.recover(ctx, fmt.Sprintf("recovery-%d", round), head)
		if err != nil {
			return err
		}
		sizes, colds, hots = append(sizes, r.log), append(colds, r.cold.Seconds()), append(hots, r.hot.Seconds())
	}
	size, cold, hot := figures.Median(sizes), figures.Median(colds), figures.Median(hots)
	b.Add("cold", size, cold, cold/size)
	b.Add("hot standby", size, hot, hot/size)
	return nil
}

// recover a shard twice: its host dies when nobody else has the log, and the next one when a standby has.
func (f *fleet) recover(ctx context.Context, id string, head int64) (out recovered, failed error) { //nolint:nonamedreturns // deferred
	app := &application{kind: kind{"texts", true, openTexts}}
	next := func() (*host, error) { return f.host(ctx, id, app) }
	s := spec(id, source, true)
	s.HotStandbys = 1
	first, err := next()
	if err != nil {
		return out, err
	}
	err = errors.Join(f.apply(ctx, first.conn, s), awaitRead(ctx, first.conn, id, source, head), first.die(ctx), first.stop())
	if err != nil {
		return out, err
	}

	began := time.Now()
	second, err := next()
	if err != nil {
		return out, err
	}
	defer func() { failed = errors.Join(failed, second.stop()) }()
	if err := second.awaitPrimary(ctx, id); err != nil {
		return out, err
	}
	out.cold = time.Since(began)
	if out.log, err = second.played(); err != nil {
		return out, err
	}

	standby, err := next()
	if err != nil {
		return out, err
	}
	defer func() { failed = errors.Join(failed, standby.stop()) }()
	if err := awaitCode(ctx, standby.conn, id, standby.cfg.ID.GetSuffix(), shards.ReplicaStatus_STANDBY); err != nil {
		return out, err
	}
	began = time.Now()
	err = errors.Join(second.die(ctx), standby.awaitPrimary(ctx, id))
	out.hot = time.Since(began)
	return out, err
}

func (h *host) awaitPrimary(ctx context.Context, id string) error {
	return awaitCode(ctx, h.conn, id, h.cfg.ID.GetSuffix(), shards.ReplicaStatus_PRIMARY)
}

// played is how many GB of recovery logs the host has read.
func (h *host) played() (float64, error) {
	all, err := h.metrics.Gather()
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, family := range all {
		if family.GetName() == "broadsheet_recoverylog_played_bytes_total" {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum / 1e9, nil
}
