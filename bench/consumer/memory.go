package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/message"
)

// memory that a host has for each idle shard, which has consumed one message.
func (b *bench) memory(ctx context.Context) error {
	b.Section("Memory of an idle shard, kB", "heap and stacks", "resident", "heap - nothing's")
	f, err := b.startFleet(ctx)
	if err != nil {
		return err
	}
	defer f.stop()
	if _, err := f.fill(ctx, source, 1, 1, 1); err != nil {
		return err
	}
	var first float64
	for i, k := range b.kinds() {
		heap, resident, err := b.idle(ctx, f, i, k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		if i == 0 {
			first = heap
		}
		b.Add(k.name, heap, resident, heap-first)
	}
	return nil
}

// idle shards of a store: how many kB each has.
func (b *bench) idle(ctx context.Context, f *fleet, i int, k kind) (heap, resident float64, failed error) { //nolint:nonamedreturns // two of a type
	h, err := f.host(ctx, fmt.Sprintf("memory-%d", i), &application{kind: k})
	if err != nil {
		return 0, 0, err
	}
	defer func() { failed = errors.Join(failed, h.stop()) }()
	heapBefore, residentBefore, err := inUse()
	if err != nil {
		return 0, 0, err
	}
	var specs []*shards.ShardSpec
	var logs []string
	for n := range b.shards {
		s := spec(fmt.Sprintf("idle-%d-%04d", i, n), source, k.logged)
		specs, logs = append(specs, s), append(logs, s.RecoveryLog())
	}
	if k.logged {
		if err := f.create(ctx, message.RecoveryLog, logs...); err != nil {
			return 0, 0, err
		}
	}
	for some := range slices.Chunk(specs, 32) {
		if err := f.apply(ctx, h.conn, some...); err != nil {
			return 0, 0, err
		}
	}
	for _, s := range specs {
		if err := awaitRead(ctx, h.conn, s.GetId(), source, 1); err != nil {
			return 0, 0, err
		}
	}
	heapAfter, residentAfter, err := inUse()
	each := float64(b.shards) * 1000
	return float64(heapAfter-heapBefore) / each, float64(residentAfter-residentBefore) / each, err
}

// inUse is what this process has of heap and stacks after collections, and of memory that is resident, in bytes.
func inUse() (heap, resident int64, failed error) { //nolint:nonamedreturns // two of a type
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return int64(m.HeapAlloc + m.StackInuse), pages * int64(os.Getpagesize()), err //nolint:gosec // it fits
}
