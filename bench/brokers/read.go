package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// backlog is how much one read gets.
const backlog = 256 << 20

// gazetteReadShare is Gazette's read of a backlog by a one-way stream.
const gazetteReadShare = 0.4

// benchRead reads what brokers hold, beside a one-way stream of the same messages.
func benchRead(ctx context.Context, o *options, r *figures.Report) error {
	s := new(stage)
	defer s.end()
	if err := s.addBare(ctx); err != nil {
		return err
	}
	f, err := startFleet(ctx, 1, "replicated")
	if err != nil {
		return err
	}
	s.ends = append(s.ends, f.stop)
	journal, err := f.create(ctx, "bench/read", 1)
	if err != nil {
		return err
	}
	body := bytes.Repeat([]byte("x"), 1<<20)
	for range backlog >> 20 {
		if _, err := f.admin.Append(ctx, client.AppendParams{Journal: journal[0]}, bytes.NewReader(body)); err != nil {
			return err
		}
	}
	s.targets = append(s.targets, &target{name: "backlog", client: f.admin, journals: journal, cpu: f.cpu})
	r.Section(fmt.Sprintf("Reads of %d MiB by one reader", backlog>>20), "MB/s", "CPU ns/byte", "of one-way", "CPU by one-way", "Gazette of one-way")
	rates, cpus := make([][]float64, 2), make([][]float64, 2)
	for i := range o.repeat {
		for k, t := range s.targets {
			end := func() error { return nil }
			if i == 0 && k == 1 && o.profile != "" {
				s.fleets = []*fleet{f}
				if end, err = s.profiled(o, load{backlog, 0}, k); err != nil {
					return err
				}
			}
			before, begun := t.cpu(), time.Now()
			n, err := io.Copy(io.Discard, t.client.NewReader(ctx, &protocol.ReadRequest{Journal: t.journals[0], EndOffset: backlog}))
			if err != nil || n != backlog {
				return fmt.Errorf("read %d bytes of %d: %w", n, backlog, err)
			}
			rates[k] = append(rates[k], backlog/time.Since(begun).Seconds()/1e6)
			cpus[k] = append(cpus[k], float64((t.cpu()-before).Nanoseconds())/backlog)
			if err := end(); err != nil {
				return err
			}
		}
	}
	for k, name := range []string{"one-way stream", "backlog in a spool"} {
		rate, cpu := figures.Median(rates[k]), figures.Median(cpus[k])
		r.Add(name, rate, cpu, rate/figures.Median(rates[0]), cpu/figures.Median(cpus[0]), []float64{0, gazetteReadShare}[k])
	}
	return nil
}

// benchDeliver measures how long an append takes to be acknowledged, and to be in the hands
// of a reader that waits for it.
func benchDeliver(ctx context.Context, o *options, r *figures.Report) error {
	r.Section("An append of 256 B until it is delivered to a blocking read, one writer", "ack p50 us", "ack p99 us", "delivered p50 us", "delivered p99 us")
	replicas, err := numbers(o.replicas)
	if err != nil {
		return err
	}
	for _, n := range replicas {
		for _, ack := range []string{"replicated", "synced"} {
			acked, delivered, err := deliver(ctx, n, ack, time.Duration(o.repeat)*o.duration)
			if err != nil {
				return err
			}
			r.Add(fmt.Sprintf("R = %d, %s", n, ack), figures.Percentile(acked, 0.5), figures.Percentile(acked, 0.99),
				figures.Percentile(delivered, 0.5), figures.Percentile(delivered, 0.99))
		}
	}
	return nil
}

// deliver appends for a time, each once the one before was read. It returns, sorted, how long it took
// until they were acknowledged, and until they were read.
func deliver(ctx context.Context, replicas int, ack string, d time.Duration) ([]float64, []float64, error) {
	f, err := startFleet(ctx, replicas, ack)
	if err != nil {
		return nil, nil, err
	}
	defer f.stop()
	journal, err := f.create(ctx, "bench/deliver", 1)
	if err != nil {
		return nil, nil, err
	}
	writer, err := f.dial(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = writer.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	head, err := writer.Append(ctx, client.AppendParams{Journal: journal[0]}, nil)
	if err != nil {
		return nil, nil, err
	}
	body := bytes.Repeat([]byte("x"), 256)
	reader := f.admin.NewReader(ctx, &protocol.ReadRequest{Journal: journal[0], Offset: head.GetCommit().GetEnd(), Block: true})
	var acked, delivered []float64
	got := make(chan time.Time)
	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error {
		buf := make([]byte, len(body))
		for {
			if _, err := io.ReadFull(reader, buf); err != nil {
				if ctx.Err() != nil {
					err = nil // The writer has ended.
				}
				return err
			}
			select {
			case got <- time.Now():
			case <-ctx.Done():
				return nil
			}
		}
	})
	eg.Go(func() error {
		defer cancel()
		for begun := time.Now(); time.Since(begun) < d; {
			at := time.Now()
			if _, err := writer.Append(ctx, client.AppendParams{Journal: journal[0]}, bytes.NewReader(body)); err != nil {
				return err
			}
			acked = append(acked, float64(time.Since(at).Nanoseconds())/1000)
			select {
			case read := <-got:
				delivered = append(delivered, float64(read.Sub(at).Nanoseconds())/1000)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	if err := eg.Wait(); err != nil {
		return nil, nil, err
	}
	slices.Sort(acked)
	slices.Sort(delivered)
	return acked, delivered, nil
}

// benchIdle measures the memory of journals that nothing is done with.
func benchIdle(ctx context.Context, o *options, r *figures.Report) error {
	f, err := startFleet(ctx, 1, "replicated")
	if err != nil {
		return err
	}
	defer f.stop()
	if _, err := f.create(ctx, "bench/first", 1); err != nil {
		return err
	}
	before, err := f.brokers[0].memory()
	if err != nil {
		return err
	}
	if _, err := f.create(ctx, "bench/idle", many); err != nil {
		return err
	}
	after, err := f.brokers[0].memory()
	if err != nil {
		return err
	}
	if o.profile != "" {
		if _, err := f.brokers[0].ask("heap " + filepath.Join(o.profile, "idle.pprof")); err != nil {
			return err
		}
	}
	r.Section("Memory of an idle journal", "KiB", "target KiB")
	r.Add(fmt.Sprintf("one of %d", many), (after-before)/many/1024, 32)
	return nil
}
