package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/client"
)

// gazetteShares are Gazette's rates by those of a bare gRPC server, measured once on two
// cores with one journal, one replica and gazetteWriters.
var gazetteShares = map[int]float64{256: 0.56, 64 << 10: 0.36, 1 << 20: 0.28}

// gazetteWriters that the shares are known of.
const gazetteWriters = 64

// many is how many journals stand for many.
const many = 1000

// stage is what a series of loads plays on: the servers of it, the bare one first.
type stage struct {
	replicas int
	targets  []*target
	fleets   []*fleet
	ends     []func()
}

func (s *stage) end() {
	for _, end := range s.ends {
		end()
	}
}

// benchAppend runs the matrix.
func benchAppend(ctx context.Context, o *options, r *figures.Report) error {
	sizes, err := numbers(o.sizes)
	if err != nil {
		return err
	}
	writers, err := numbers(o.writers)
	if err != nil {
		return err
	}
	replicas, err := numbers(o.replicas)
	if err != nil {
		return err
	}
	for _, n := range replicas {
		if err := benchReplicas(ctx, o, r, n, matrix(sizes, writers)); err != nil {
			return err
		}
	}
	return nil
}

func matrix(sizes, writers []int) []load {
	var out []load
	for _, size := range sizes {
		for _, w := range writers {
			out = append(out, load{size, w})
		}
	}
	return out
}

// numbers of a list with commas.
func numbers(list string) ([]int, error) {
	var out []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q isn't a list of positive numbers", list)
		}
		out = append(out, n)
	}
	return out, nil
}

// benchReplicas plays all loads with so many replicas.
func benchReplicas(ctx context.Context, o *options, r *figures.Report, replicas int, loads []load) error {
	s := &stage{replicas: replicas}
	defer s.end()
	if err := s.addBare(ctx); err != nil {
		return err
	}
	for _, ack := range []string{"replicated", "synced"} {
		if err := s.addFleet(ctx, replicas, ack); err != nil {
			return err
		}
	}
	if err := s.addNATS(o, replicas); err != nil {
		return err
	}
	r.Section(fmt.Sprintf("Appends with R = %d", replicas),
		"appends/s", "MB/s", "p50 us", "p99 us", "CPU us/append", "CPU ns/byte", "of bare", "CPU by bare", "Gazette of bare")
	for _, l := range loads {
		if err := s.play(ctx, o, r, l); err != nil {
			return err
		}
	}
	return nil
}

// addBare adds the server that discards.
func (s *stage) addBare(ctx context.Context) error {
	p, err := start("discard")
	if err != nil {
		return err
	}
	c, err := client.Dial(ctx, client.Config{Endpoint: "http://" + p.address})
	if err != nil {
		p.stop()
		return err
	}
	s.ends = append(s.ends, func() { _ = c.Close(); p.stop() })
	s.targets = append(s.targets, &target{name: "bare gRPC", client: c, journals: []string{"bench/discard"}, cpu: p.cpu})
	return nil
}

// addFleet adds brokers, with one journal and with many, by the RPC of Gazette and, where
// they serve it, by AppendStream.
func (s *stage) addFleet(ctx context.Context, replicas int, ack string) error {
	f, err := startFleet(ctx, replicas, ack)
	if err != nil {
		return err
	}
	s.ends = append(s.ends, f.stop)
	s.fleets = append(s.fleets, f)
	one, err := f.create(ctx, "bench/one", 1)
	if err != nil {
		return err
	}
	c, err := f.dial(ctx, false)
	if err != nil {
		return err
	}
	s.ends = append([]func(){func() { _ = c.Close() }}, s.ends...)
	s.targets = append(s.targets, &target{name: ack, client: c, journals: one, cpu: f.cpu})
	if ack != "replicated" {
		return nil
	}
	all, err := f.create(ctx, "bench/many", many)
	if err != nil {
		return err
	}
	s.targets = append(s.targets, &target{name: fmt.Sprintf("%s, %d journals", ack, many), client: c, journals: all, cpu: f.cpu, most: streamed})
	if !f.streams(ctx) {
		fmt.Println("\nAppendStream isn't served by these brokers: not measured")
		return nil
	}
	streams, err := f.dial(ctx, true)
	if err != nil {
		return err
	}
	s.ends = append([]func(){func() { _ = streams.Close() }}, s.ends...)
	s.targets = append(s.targets, &target{name: ack + ", AppendStream", client: streams, journals: one, cpu: f.cpu, most: streamed})
	s.targets = append(s.targets, &target{
		name: ack + ", AppendStream, ahead", cpu: f.cpu, most: streamed,
		load: func(ctx context.Context, l load, d time.Duration) (outcome, error) {
			return loadAhead(ctx, f.brokers[0].address, one[0], l, d)
		},
	})
	return nil
}

// streamed is up to which size appends are sent by a stream, and to many journals.
const streamed = 4 << 10

// play a load on all targets in turns, so that a slow moment of the machine hits all alike.
func (s *stage) play(ctx context.Context, o *options, r *figures.Report, l load) error {
	all := make([][]outcome, len(s.targets))
	for range o.repeat {
		for i, t := range s.targets {
			if t.most != 0 && l.size > t.most {
				continue
			}
			end, err := s.profiled(o, l, i)
			if err != nil {
				return err
			}
			x, err := t.apply(ctx, l, o.duration)
			if err != nil {
				return err
			}
			if err := end(); err != nil {
				return err
			}
			all[i] = append(all[i], x)
		}
	}
	bare := medians(all[0])
	for i, t := range s.targets {
		if len(all[i]) == 0 {
			continue
		}
		m, share := medians(all[i]), 0.0
		if i == 1 && s.replicas == 1 && l.writers == gazetteWriters {
			share = gazetteShares[l.size]
		}
		r.Add(l.String()+", "+t.name, m.Rate, m.Megabytes, m.P50, m.P99, m.CPU, m.CPU*1000/float64(l.size), m.Rate/bare.Rate, m.CPU/bare.CPU, share)
	}
	return nil
}

// profiled begins a profile of the first broker, if one is wanted, and returns what ends it.
func (s *stage) profiled(o *options, l load, target int) (func() error, error) {
	if o.profile == "" || target != 1 {
		return func() error { return nil }, nil
	}
	f := s.fleets[0]
	for i, p := range f.brokers {
		name := fmt.Sprintf("%d-of-%d %s.pprof", i, len(f.brokers), l)
		if _, err := p.ask("profile " + filepath.Join(o.profile, strings.ReplaceAll(name, " ", "-"))); err != nil {
			return nil, err
		}
	}
	return func() error {
		for _, p := range f.brokers {
			if _, err := p.ask("profiled"); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
