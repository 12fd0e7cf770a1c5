package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// perSecond runs what each of some workers does again and again for a time.
func perSecond(ctx context.Context, workers int, d time.Duration, prepare func(context.Context) (func() error, func(), error)) (float64, error) {
	counts := make([]int, workers)
	all := make([]func() error, workers)
	for w := range workers {
		step, end, err := prepare(ctx)
		if err != nil {
			return 0, err
		}
		defer end()
		all[w] = step
	}
	begun := time.Now()
	var eg errgroup.Group
	for w, step := range all {
		eg.Go(func() error {
			for time.Since(begun) < d {
				if err := step(); err != nil {
					return err
				}
				counts[w]++
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return 0, err
	}
	n := 0
	for _, c := range counts {
		n += c
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

// select1 is what a statement costs that reads nothing.
func (b *bench) select1(ctx context.Context) error {
	b.Section("SELECT 1, statements a second", "broadsheet", "PostgreSQL", "of PostgreSQL")
	modes := []struct {
		name string
		mode pgx.QueryExecMode
	}{{"prepared", pgx.QueryExecModeCacheStatement}, {"extended, unnamed", pgx.QueryExecModeExec}, {"simple", pgx.QueryExecModeSimpleProtocol}}
	for _, m := range modes {
		for _, n := range []int{1, 8} {
			err := b.compare(fmt.Sprintf("%s, %d connections", m.name, n), func(p peer) (float64, error) {
				return perSecond(ctx, n, b.duration, func(ctx context.Context) (func() error, func(), error) {
					conn, err := pgx.Connect(ctx, p.url)
					if err != nil {
						return nil, nil, err
					}
					var one int
					return func() error { return conn.QueryRow(ctx, "SELECT 1", m.mode).Scan(&one) }, func() { _ = conn.Close(ctx) }, nil
				})
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// connect opens connections and closes them.
func (b *bench) connect(ctx context.Context) error {
	b.Section("Connections a second, opened and closed by 4 workers", "broadsheet", "PostgreSQL", "of PostgreSQL")
	for name, url := range map[string]func(peer) string{"trusted": func(p peer) string { return p.url }, "SCRAM-SHA-256": peer.as} {
		err := b.compare(name, func(p peer) (float64, error) {
			return perSecond(ctx, 4, b.duration, func(ctx context.Context) (func() error, func(), error) {
				return func() error {
					conn, err := pgconn.Connect(ctx, url(p))
					if err != nil {
						return err
					}
					return conn.Close(ctx)
				}, func() {}, nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// idleMemory is what connections hold that have asked something once.
func (b *bench) idleMemory(ctx context.Context) error {
	b.Section("Memory of an idle connection, KiB", "broadsheet", "PostgreSQL", "of PostgreSQL")
	var kib [2]float64
	for i, p := range b.peers {
		var err error
		if kib[i], err = p.idle(ctx, b.idle); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	b.Add(fmt.Sprintf("%d connections", b.idle), kib[0], kib[1], kib[0]/kib[1])
	return nil
}

// idle is what each of n connections adds, in KiB, to processes that had few until now: what they have once grown to, they
// keep.
func (p peer) idle(ctx context.Context, n int) (float64, error) {
	before, err := memory(p.pids())
	if err != nil {
		return 0, err
	}
	for range n {
		conn, err := pgx.Connect(ctx, p.url)
		if err != nil {
			return 0, err
		}
		defer func() { _ = conn.Close(ctx) }()
		if _, err := conn.Exec(ctx, "SELECT 1"); err != nil {
			return 0, err
		}
	}
	after, err := memory(p.pids())
	return (after - before) / float64(n), err
}

// memory of processes in KiB: shared pages count once.
func memory(pids []int) (float64, error) {
	sum := 0.0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
				if err != nil {
					return 0, err
				}
				sum += kib
			}
		}
	}
	return sum, nil
}
