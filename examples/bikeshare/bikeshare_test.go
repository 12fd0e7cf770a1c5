package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/examples/exampletest"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/test/system"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

// model rides bikes at random, and knows their cycles.
type model struct {
	rnd    *rand.Rand
	at     map[string]string   // where a bike is
	rides  map[string][]string // stations that a bike departed from, the last ones
	cycles map[string][]string // by bike, each as text
}

// ride a bike, as a row.
func (m *model) ride() string {
	bike := fmt.Sprintf("bike %d, \"blue\"", m.rnd.IntN(5))
	from, to := m.at[bike], fmt.Sprintf("S%d", m.rnd.IntN(40))
	m.at[bike] = to
	m.rides[bike] = append(m.rides[bike], from)
	m.rides[bike] = m.rides[bike][max(0, len(m.rides[bike])-remembered):]
	for i, station := range slices.Backward(m.rides[bike]) {
		if station == to {
			m.cycles[bike] = append(m.cycles[bike], strings.Join(append(slices.Clone(m.rides[bike][i:]), to), " "))
			break
		}
	}
	return fmt.Sprintf(",\"%s\",%s,%s\n", strings.ReplaceAll(bike, `"`, `""`), from, to)
}

func (m *model) count() int {
	n := 0
	for _, of := range m.cycles {
		n += len(of)
	}
	return n
}

// found are the cycles that were published, as the model has them.
func found(f *exampletest.Fleet) (map[string][]string, int) {
	out, all := map[string][]string{}, exampletest.Committed(f, "bikes/cycles", func() *Cycle { return new(Cycle) })
	for _, c := range all {
		out[c.Bike] = append(out[c.Bike], strings.Join(c.Stations, " "))
	}
	return out, len(all)
}

// ridesAreFound runs two processes, which are killed in turn while bikes are ridden: each cycle is published once. Then a row that is none fails the shard.
func ridesAreFound(t *testing.T, args ...string) {
	t.Helper()
	f := exampletest.New(t)
	f.Journal("bikes/rides", message.CSV)
	for _, name := range []string{"bikes/cycles", "bikes/bad"} {
		f.Journal(name, message.JSONLines)
	}
	hosts := []*exampletest.Member{f.Host(args...), f.Host(args...)}
	labels := []string{labelCycles, "bikes/cycles", consumer.LabelDeadLetters, "bikes/bad"}
	f.Shard(hosts[0], "rides", []string{"bikes/rides"}, labels...)
	m := &model{rand.New(rand.NewPCG(1, 2)), map[string]string{}, map[string][]string{}, map[string][]string{}} //nolint:gosec // it is no secret
	rides := func() {
		for range 5 {
			var rows strings.Builder
			for range 100 {
				rows.WriteString(m.ride())
			}
			f.Append("bikes/rides", rows.String())
		}
	}
	for round := range 4 {
		_, before := found(f)
		rides()
		exampletest.Until(t, "cycles are found", func() bool { _, n := found(f); return n > before })
		hosts[round%2].Again()
		hosts[round%2].Ready()
	}
	exampletest.Until(t, "all cycles are found", func() bool { _, n := found(f); return n >= m.count() })
	got, _ := found(f)
	require.Equal(t, m.cycles, got)

	f.Append("bikes/rides", ",too,few\n")
	rides()
	require.Contains(t, f.Await(hosts[0], "rides", shards.ReplicaStatus_FAILED), "a row of 3 fields (expected 4)")
	for _, h := range hosts {
		h.Stop()
	}
}

func TestSQLite(t *testing.T) { ridesAreFound(t) }

func TestPostgres(t *testing.T) { ridesAreFound(t, "--postgres", system.Postgres(t)) }

// TestReadme: what README.md says works.
func TestReadme(t *testing.T) {
	require.Contains(t, exampletest.New(t).Readme("bike-share"), `"stations":["Market St","Ferry","Castro","Market St"]`)
}
