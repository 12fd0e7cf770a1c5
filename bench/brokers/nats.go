package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// addNATS adds a NATS server with as many replicas, if its program is known: publishing one
// after the other, and ahead of acknowledgements.
func (s *stage) addNATS(o *options, replicas int) error {
	if o.nats == "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "bsb")
	if err != nil {
		return err
	}
	p, err := startProgram(o.nats, "server", "-dir", dir, "-replicas", strconv.Itoa(replicas))
	if err != nil {
		return err
	}
	s.ends = append(s.ends, func() { p.stop(); _ = os.RemoveAll(dir) })
	for _, async := range []bool{false, true} {
		t := &target{name: "NATS JetStream", cpu: p.cpu, most: maxNATS}
		if async {
			t.name += ", async"
		}
		t.load = func(ctx context.Context, l load, d time.Duration) (outcome, error) {
			return loadNATS(ctx, o.nats, p.address, async, l, d)
		}
		s.targets = append(s.targets, t)
	}
	return nil
}

// maxNATS is the largest message that NATS is sent: its servers advise against larger ones.
const maxNATS = 64 << 10

// loadNATS publishes from a process of its own.
func loadNATS(ctx context.Context, program, url string, async bool, l load, d time.Duration) (outcome, error) {
	cmd := exec.CommandContext(ctx, program, "load", "-url", url, "-size", strconv.Itoa(l.size), "-writers", strconv.Itoa(l.writers),
		"-duration", d.String(), "-async="+strconv.FormatBool(async))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return outcome{}, fmt.Errorf("%s load: %w", program, err)
	}
	var x outcome
	return x, json.Unmarshal(out, &x)
}
