package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"broadsheet.dev/broadsheet/bench/figures"
)

// benchLimits measures what the disk does alone: writing, and syncing what was written.
func benchLimits(o *options, r *figures.Report) error {
	r.Section("The disk alone", "ops/s", "MB/s", "us/op")
	for _, size := range []int{256, 64 << 10} {
		for _, sync := range []bool{false, true} {
			var rates []float64
			for range o.repeat {
				n, err := writeFile(size, sync, o.duration)
				if err != nil {
					return err
				}
				rates = append(rates, n)
			}
			name := fmt.Sprintf("write %d B", size)
			if sync {
				name += " + fsync"
			}
			rate := figures.Median(rates)
			r.Add(name, rate, rate*float64(size)/1e6, 1e6/rate)
		}
	}
	return nil
}

// writeFile appends to a file for a time, and returns how often in a second.
func writeFile(size int, sync bool, d time.Duration) (float64, error) {
	f, err := os.CreateTemp("", "broadsheet-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	body := make([]byte, size)
	begun, n := time.Now(), 0
	for ; time.Since(begun) < d && err == nil; n++ {
		if _, err = f.Write(body); err == nil && sync {
			err = f.Sync()
		}
		if n%1024 == 1023 { // the file needn't grow without end
			_, seek := f.Seek(0, 0)
			err = errors.Join(err, seek)
		}
	}
	return float64(n) / time.Since(begun).Seconds(), errors.Join(err, f.Close())
}
