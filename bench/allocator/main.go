// Command allocator measures the allocator's plans on a cluster that it makes up: 100 000
// journals of three replicas on 100 brokers in three zones, unless told otherwise. For a
// cold start, a broker lost, one that comes back, one that leaves in good order, a zone
// lost and a rolling restart it prints the time of the longest plan, by the clock and of
// the processor (which is what counts on a machine that does other things too), and the
// assignments that were made and removed, and the transactions, as a table and with
// --json as figures. The brokers are in step at once, and no etcd is asked: what it
// takes beyond this is etcd's.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"broadsheet.dev/broadsheet/allocator"
)

// figure is a measured line. Ideal is how many assignments had to be made at least.
type figure struct {
	Name         string        `json:"name"`
	Plans        int           `json:"plans"`
	LongestPlan  time.Duration `json:"longest_plan_ns"`
	Processor    time.Duration `json:"longest_plan_processor_ns"`
	Added        int           `json:"added"`
	Ideal        int           `json:"ideal_added"`
	Removed      int           `json:"removed"`
	Transactions int           `json:"transactions"`
	Deviation    float64       `json:"load_deviation_by_mean"`
}

func main() {
	items := flag.Int("items", 100_000, "journals")
	replicas := flag.Int("replicas", 3, "replicas of each")
	members := flag.Int("members", 100, "brokers")
	zones := flag.Int("zones", 3, "zones")
	out := flag.String("json", "", "file to write the figures to")
	flag.Parse()
	if err := run(allocator.SimulationConfig{Items: *items, Replicas: *replicas, Members: *members, Zones: *zones}, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench: allocator:", err)
		os.Exit(1)
	}
}

func run(c allocator.SimulationConfig, out string) error {
	s, err := allocator.NewSimulation(c)
	if err != nil {
		return err
	}
	slots := c.Items * c.Replicas
	share := slots / c.Members
	zone := 0 // brokers of the first zone
	for i := 0; i < c.Members; i += c.Zones {
		zone++
	}
	fmt.Printf("%-24s %6s %13s %13s %9s %9s %9s %8s %10s\n", "", "plans", "longest", "processor", "added", "ideal", "removed", "txns", "deviation")
	var figures []figure
	for _, step := range []struct {
		name  string
		ideal int
		do    func()
	}{
		{"cold start", slots, func() {}},
		{"one broker lost", share, func() { s.Lose(1) }},
		{"one broker added", share, func() { s.Join(1) }},
		{"one journal created", c.Replicas, func() { s.Create() }},
		{"one broker leaves", share, func() { s.Leave(2) }},
		{"and is replaced", share, func() { s.Lose(2); s.Join(2) }},
		{"a zone lost", zone * share, func() {
			for i := 0; i < c.Members; i += c.Zones {
				s.Lose(i)
			}
		}},
		{"the zone comes back", zone * share, func() {
			for i := 0; i < c.Members; i += c.Zones {
				s.Join(i)
			}
		}},
		{"rolling restart of 10", 2 * 10 * share, func() {
			for i := range min(10, c.Members) {
				s.Leave(i)
				s.Settle()
				s.Lose(i)
				s.Join(i)
				s.Settle()
			}
		}},
	} {
		s.Reset()
		step.do()
		s.Settle()
		r := s.Result()
		figures = append(figures, figure{step.name, r.Plans, r.Longest, r.Processor, r.Added, step.ideal, r.Removed, r.Transactions, r.Deviation})
		fmt.Printf("%-24s %6d %13v %13v %9d %9d %9d %8d %9.2f%%\n", step.name, r.Plans, r.Longest.Round(10*time.Microsecond),
			r.Processor.Round(10*time.Microsecond), r.Added, step.ideal, r.Removed, r.Transactions, 100*r.Deviation)
	}
	if out == "" {
		return nil
	}
	b, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}
