package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/bench/figures"
	"broadsheet.dev/broadsheet/client"
)

// load is one shape of appending: so many writers who each wait for their acknowledgement.
type load struct{ size, writers int }

func (l load) String() string {
	switch {
	case l.size >= 1<<20:
		return fmt.Sprintf("%d MiB x %d", l.size>>20, l.writers)
	case l.size >= 1<<10:
		return fmt.Sprintf("%d KiB x %d", l.size>>10, l.writers)
	default:
		return fmt.Sprintf("%d B x %d", l.size, l.writers)
	}
}

// outcome of a load.
type outcome struct {
	Rate, Megabytes float64 // appends and MB a second
	P50, P99        float64 // microseconds
	CPU             float64 // microseconds of the servers' processor time for each append
	Appends         int     // that were acknowledged
}

// target is what is loaded.
type target struct {
	name     string
	client   *client.Client
	journals []string
	cpu      func() time.Duration
	most     int // bytes of an append at most; 0 is any number
	// load it in another way than by client, but for the processor's time; or nil.
	load func(context.Context, load, time.Duration) (outcome, error)
}

// apply a load for a time.
func (t *target) apply(ctx context.Context, l load, d time.Duration) (outcome, error) {
	if t.load == nil {
		return l.append(ctx, t, d)
	}
	before := t.cpu()
	x, err := t.load(ctx, l, d)
	if err != nil {
		return x, fmt.Errorf("%s, %s: %w", l, t.name, err)
	}
	if x.Appends < 1 {
		return x, fmt.Errorf("%s, %s: nothing was appended", l, t.name)
	}
	x.CPU = float64((t.cpu() - before).Microseconds()) / float64(x.Appends)
	return x, nil
}

// append from all writers for a time.
func (l load) append(ctx context.Context, t *target, d time.Duration) (outcome, error) {
	body := bytes.Repeat([]byte("x"), l.size)
	body[l.size-1] = '\n'
	before, begun := t.cpu(), time.Now()
	latencies := make([][]float64, l.writers)
	eg, ctx := errgroup.WithContext(ctx)
	for w := range l.writers {
		eg.Go(func() error {
			for i := w; time.Since(begun) < d; i += l.writers {
				at := time.Now()
				p := client.AppendParams{Journal: t.journals[i%len(t.journals)]}
				if _, err := t.client.Append(ctx, p, bytes.NewReader(body)); err != nil {
					return err
				}
				latencies[w] = append(latencies[w], float64(time.Since(at).Nanoseconds())/1000)
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return outcome{}, fmt.Errorf("%s, %s: %w", l, t.name, err)
	}
	took := time.Since(begun).Seconds()
	all := slices.Sorted(slices.Values(slices.Concat(latencies...)))
	n := float64(len(all))
	return outcome{
		Rate: n / took, Megabytes: n * float64(l.size) / took / 1e6,
		P50: figures.Percentile(all, 0.5), P99: figures.Percentile(all, 0.99),
		CPU: float64((t.cpu() - before).Microseconds()) / n, Appends: len(all),
	}, nil
}

// medians of outcomes, each figure by itself.
func medians(all []outcome) outcome {
	of := func(value func(outcome) float64) float64 {
		var v []float64
		for _, x := range all {
			v = append(v, value(x))
		}
		return figures.Median(v)
	}
	return outcome{
		Rate: of(func(x outcome) float64 { return x.Rate }), Megabytes: of(func(x outcome) float64 { return x.Megabytes }),
		P50: of(func(x outcome) float64 { return x.P50 }), P99: of(func(x outcome) float64 { return x.P99 }),
		CPU: of(func(x outcome) float64 { return x.CPU }),
	}
}
