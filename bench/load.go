package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/bench/bids"
	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/test/system"
)

// load is one shape of appending.
type load struct {
	size, writers int
}

func loads() []load { return []load{{256, 1}, {256, 64}, {64 << 10, 1}, {64 << 10, 64}} }

func (l load) String() string {
	size := fmt.Sprintf("%d B", l.size)
	if l.size >= 1<<10 {
		size = fmt.Sprintf("%d KiB", l.size>>10)
	}
	return fmt.Sprintf("%s x %d writers", size, l.writers)
}

// outcome of a load.
type outcome struct {
	perSecond, megabytes float64
	p50, p99             float64 // microseconds
	cpu                  float64 // microseconds of the server's CPU time for each append
}

// target is a server that is loaded.
type target struct {
	name, endpoint, journal string
	pid                     int // 0 if its CPU time isn't known
}

// apply appends for a time from writers that each wait for their acknowledgement.
func (l load) apply(ctx context.Context, t target, d time.Duration) (outcome, error) {
	c, err := client.Dial(ctx, client.Config{Endpoint: t.endpoint})
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = c.Close() }()
	body := bytes.Repeat([]byte("x"), l.size)
	body[l.size-1] = '\n'
	before := cpuTime(t.pid)
	begun := time.Now()
	latencies := make([][]float64, l.writers)
	eg, ctx := errgroup.WithContext(ctx)
	for w := range l.writers {
		eg.Go(func() error {
			for time.Since(begun) < d {
				at := time.Now()
				if _, err := c.Append(ctx, client.AppendParams{Journal: t.journal}, bytes.NewReader(body)); err != nil {
					return err
				}
				latencies[w] = append(latencies[w], float64(time.Since(at).Nanoseconds())/1000)
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return outcome{}, err
	}
	took := time.Since(begun).Seconds()
	all := slices.Sorted(slices.Values(slices.Concat(latencies...)))
	n := float64(len(all))
	return outcome{
		perSecond: n / took, megabytes: n * float64(l.size) / took / 1e6,
		p50: figures.Percentile(all, 0.5), p99: figures.Percentile(all, 0.99), cpu: (cpuTime(t.pid) - before) * 1e6 / n,
	}, nil
}

// cpuTime of a process in seconds.
func cpuTime(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if pid == 0 || err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	const userAt, systemAt, ticks = 11, 12, 100
	u, _ := strconv.ParseFloat(f[userAt], 64)
	s, _ := strconv.ParseFloat(f[systemAt], 64)
	return (u + s) / ticks
}

// benchAppend loads a broker in both modes of acknowledging, beside the bare server.
func benchAppend(ctx context.Context, o *options, journal string, r *figures.Report) error {
	r.Section("Appends, one journal, R = 1, one RPC for each append", "appends/s", "MB/s", "p50 us", "p99 us", "server us/append", "of bare gRPC")
	if o.broker != "" {
		return loadAll(ctx, o, []target{{name: "broker", endpoint: o.broker, journal: journal}}, r)
	}
	address, pid, stop, err := startDiscard()
	if err != nil {
		return err
	}
	defer stop()
	targets := []target{{name: "bare gRPC", endpoint: "http://" + address, journal: "bench/discard", pid: pid}}
	for _, ack := range []string{"replicated", "synced"} {
		t, end, err := startServe(ctx, ack)
		if err != nil {
			return err
		}
		defer end()
		targets = append(targets, t)
	}
	return loadAll(ctx, o, targets, r)
}

// startServe runs a server with a table of one journal.
func startServe(ctx context.Context, ack string) (target, func(), error) {
	dir, err := os.MkdirTemp("", "broadsheet-bench-")
	if err != nil {
		return target{}, nil, err
	}
	s, err := system.Start(ctx, dir+"/data", "--ack", ack)
	end := func() {
		if s != nil {
			s.Kill()
		}
		_ = os.RemoveAll(dir)
	}
	if err != nil {
		end()
		return target{}, nil, err
	}
	journal, err := bids.MakeTable(ctx, s, "CREATE TABLE bench (line TEXT) WITH (codec = 'none')", "bench")
	if err != nil {
		end()
		return target{}, nil, err
	}
	return target{name: "broadsheet, " + ack, endpoint: "http://" + s.Broker, journal: journal, pid: s.PID()}, end, nil
}

// loadAll takes turns over the targets, so that a slow moment of the machine hits all alike.
func loadAll(ctx context.Context, o *options, targets []target, r *figures.Report) error {
	for _, l := range loads() {
		all := make([][]outcome, len(targets))
		for range o.repeat {
			for i, t := range targets {
				x, err := l.apply(ctx, t, o.duration)
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				all[i] = append(all[i], x)
			}
		}
		of := func(i int, value func(outcome) float64) float64 {
			var v []float64
			for _, x := range all[i] {
				v = append(v, value(x))
			}
			return figures.Median(v)
		}
		bare := of(0, func(x outcome) float64 { return x.perSecond })
		for i, t := range targets {
			rate := of(i, func(x outcome) float64 { return x.perSecond })
			r.Add(l.String()+", "+t.name, rate, of(i, func(x outcome) float64 { return x.megabytes }),
				of(i, func(x outcome) float64 { return x.p50 }), of(i, func(x outcome) float64 { return x.p99 }),
				of(i, func(x outcome) float64 { return x.cpu }), rate/bare)
		}
	}
	return nil
}
