package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// source is the journal that shards read.
const source = "bench/source"

// rateKeys is how many keys messages have.
const rateKeys = 1000

// rate is how many messages a shard takes, per second of processor time of its host, from a journal that has them already. Rounds go
// over all stores, so that what the machine does meanwhile is the same for all.
func (b *bench) rate(ctx context.Context) error {
	b.Section("Messages of a shard, with each store", "per second", "per core", "of nothing's")
	f, err := b.startFleet(ctx)
	if err != nil {
		return err
	}
	defer f.stop()
	head, err := f.fill(ctx, source, b.messages, rateKeys, 20)
	if err != nil {
		return err
	}
	var wall, cores [][]float64
	for round := range b.repeat {
		for i, k := range b.kinds() {
			if round == 0 {
				wall, cores = append(wall, nil), append(cores, nil)
			}
			took, used, err := f.consume(ctx, fmt.Sprintf("rate-%d-%d", i, round), k, head)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			wall[i] = append(wall[i], float64(b.messages)/took.Seconds())
			cores[i] = append(cores[i], float64(b.messages)/used.Seconds())
		}
	}
	for i, k := range b.kinds() {
		b.Add(k.name, figures.Median(wall[i]), figures.Median(cores[i]), figures.Median(cores[i])/figures.Median(cores[0]))
	}
	return nil
}

// consume the source, from the first message until all are committed, and tell how long that took and what this process used.
func (f *fleet) consume(ctx context.Context, id string, k kind, head int64) (took, used time.Duration, failed error) { //nolint:nonamedreturns // two of a type
	app := &application{kind: k}
	h, err := f.host(ctx, id, app)
	if err != nil {
		return 0, 0, err
	}
	defer func() { failed = errors.Join(failed, h.stop()) }()
	if err := f.apply(ctx, h.conn, spec(id, source, k.logged)); err != nil {
		return 0, 0, err
	}
	if err := awaitCode(ctx, h.conn, id, h.cfg.ID.GetSuffix(), shards.ReplicaStatus_PRIMARY); err != nil {
		return 0, 0, err
	}
	if err := awaitRead(ctx, h.conn, id, source, head); err != nil {
		return 0, 0, err
	}
	return time.Since(app.began), cpuOf(os.Getpid()) - app.used, nil
}

// latency is how long it takes from the begin of an append until its message is committed, with one at a time.
func (b *bench) latency(ctx context.Context) error {
	b.Section("From the begin of an append until its transaction is committed, ms", "p50", "p99", "p50 of nothing's")
	f, err := b.startFleet(ctx)
	if err != nil {
		return err
	}
	defer f.stop()
	var first float64
	for i, k := range b.kinds() {
		took, err := b.light(ctx, f, fmt.Sprintf("latency-%d", i), k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		p50 := figures.Percentile(took, 0.5)
		if i == 0 {
			first = p50
		}
		b.Add(k.name, p50, figures.Percentile(took, 0.99), p50/first)
	}
	return nil
}

// light load on a shard. It returns the latencies in ascending order.
func (b *bench) light(ctx context.Context, f *fleet, id string, k kind) (all []float64, failed error) { //nolint:nonamedreturns // deferred
	journal := "bench/" + id
	head, err := f.fill(ctx, journal, 1, 1, 1)
	if err != nil {
		return nil, err
	}
	h, err := f.host(ctx, id, &application{kind: k})
	if err != nil {
		return nil, err
	}
	defer func() { failed = errors.Join(failed, h.stop()) }()
	if err := f.apply(ctx, h.conn, spec(id, journal, k.logged)); err != nil {
		return nil, err
	}
	if err := awaitRead(ctx, h.conn, id, journal, head); err != nil {
		return nil, err
	}
	for begun := time.Now(); time.Since(begun) < b.duration || len(all) < 5; {
		at := time.Now()
		head, err := f.append(ctx, journal, []byte(`{"key":"one","n":1}`+"\n"))
		if err != nil {
			return nil, err
		}
		if err := awaitRead(ctx, h.conn, id, journal, head); err != nil {
			return nil, err
		}
		all = append(all, float64(time.Since(at).Microseconds())/1000)
	}
	slices.Sort(all)
	return all, nil
}
