package allocator

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/btree"

	"broadsheet.dev/broadsheet/keyspace"
)

// SimulationConfig says how large the cluster of a Simulation is.
type SimulationConfig struct {
	Items, Replicas, Members, Zones int
}

// Simulation is a cluster in memory whose leader plans as an Allocator does, to measure
// it. What it writes takes effect at once, and every assignment is consistent.
type Simulation struct {
	config SimulationConfig
	keys   *simKeys
	state  *state
	result SimulationResult
}

// SimulationResult is what happened since the last Reset.
type SimulationResult struct {
	Plans int
	// Longest plan, and Processor, the most processor time that one took, with that of
	// the garbage collector.
	Longest, Processor time.Duration
	// Added and Removed are assignments, but for those that moved between slots of one member.
	Added, Removed int
	Transactions   int
	// Deviation is that of the members' loads, by their mean.
	Deviation float64
}

// NewSimulation makes a cluster in which nothing is assigned.
func NewSimulation(c SimulationConfig) (*Simulation, error) {
	if c.Items < 1 || c.Replicas < 1 || c.Zones < 1 || c.Members < c.Zones {
		return nil, errors.New("allocator: a simulation has items with replicas, and members in each zone")
	}
	s := &Simulation{config: c, keys: newSimKeys()}
	for i := range c.Members {
		s.Join(i)
	}
	for i := range c.Items {
		s.putItem(i)
	}
	return s, nil
}

func (s *Simulation) memberID(i int) MemberID {
	return MemberID{Zone: fmt.Sprint("zone-", i%s.config.Zones), Suffix: fmt.Sprintf("broker-%03d", i)}
}

func (s *Simulation) putMember(i int, exiting bool) {
	id := s.memberID(i)
	limit := 2 * s.config.Items * s.config.Replicas / s.config.Members
	s.keys.put(MemberKey(simPrefix, id.Zone, id.Suffix), Member{ID: id, Value: simMember{limit: limit, exiting: exiting}})
}

func (s *Simulation) putItem(i int) {
	id := fmt.Sprintf("acme/journal-%06d", i)
	s.keys.put(ItemKey(simPrefix, id), Item{ID: id, Value: simItem(s.config.Replicas)})
}

// Create adds an item.
func (s *Simulation) Create() {
	s.putItem(s.config.Items)
	s.config.Items++
}

// Join adds member i, Leave lets it announce that it leaves, and Lose ends its lease.
func (s *Simulation) Join(i int) { s.putMember(i, false) }

// Leave lets member i announce that it leaves.
func (s *Simulation) Leave(i int) { s.putMember(i, true) }

// Lose ends the lease of member i.
func (s *Simulation) Lose(i int) {
	id := s.memberID(i)
	var gone []string
	s.keys.Ascend(AssignmentsPrefix(simPrefix), func(kv keyspace.KeyValue) bool {
		if kv.Value.(Assignment).ID.Member == id {
			gone = append(gone, kv.Key)
		}
		return true
	})
	for _, key := range append(gone, MemberKey(simPrefix, id.Zone, id.Suffix)) {
		s.keys.delete(key)
	}
}

// Settle plans and writes until there is nothing to.
func (s *Simulation) Settle() {
	for {
		began, used := time.Now(), processorTime()
		if s.state == nil {
			s.state = readState(simPrefix, s.keys)
		} else {
			s.state = s.state.follow(s.keys)
		}
		p := s.state.makePlan()
		took, cpu := time.Since(began), processorTime()-used
		if len(p.groups) == 0 {
			return
		}
		s.result.Plans++
		s.result.Longest, s.result.Processor = max(s.result.Longest, took), max(s.result.Processor, cpu)
		s.result.Transactions += len(makeTxns(s.state, p, DefaultMaxTxnOps, false))
		for _, g := range p.groups {
			s.write(g)
		}
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (s *Simulation) write(g group) {
	had, has := make(map[MemberID]bool), make(map[MemberID]bool)
	for _, c := range g.changes {
		if key := AssignmentsPrefix(simPrefix) + c.id.String(); c.add {
			has[c.id.Member] = true
			s.keys.put(key, Assignment{ID: c.id})
		} else {
			had[c.id.Member] = true
			s.keys.delete(key)
		}
	}
	for m := range has {
		if !had[m] {
			s.result.Added++
		}
	}
	for m := range had {
		if !has[m] {
			s.result.Removed++
		}
	}
}

// Reset begins to count anew.
func (s *Simulation) Reset() { s.result = SimulationResult{} }

// Result is what was counted, and the deviation of loads now.
func (s *Simulation) Result() SimulationResult {
	var loads []float64
	sum := 0.0
	for _, m := range s.state.byMember {
		if m.exists && !m.exiting && m.limit > 0 {
			loads = append(loads, float64(m.load))
			sum += float64(m.load)
		}
	}
	mean, square := sum/float64(max(len(loads), 1)), 0.0
	for _, l := range loads {
		square += (l - mean) * (l - mean)
	}
	r := s.result
	if mean > 0 {
		r.Deviation = math.Sqrt(square/float64(len(loads))) / mean
	}
	return r
}

// simPrefix is the prefix of a simulation's keys.
const simPrefix = "/simulation"

type simItem int

// DesiredReplication of every item.
func (i simItem) DesiredReplication() int { return int(i) }

type simMember struct {
	limit   int
	exiting bool
}

// ItemLimit is twice the fair share.
func (m simMember) ItemLimit() int { return m.limit }

// Exiting as it was announced.
func (m simMember) Exiting() bool { return m.exiting }

// simKeys is a key space in memory.
type simKeys struct {
	tree     *btree.BTreeG[keyspace.KeyValue]
	revision int64
	log      []string // the key that was changed at each revision
}

func newSimKeys() *simKeys {
	return &simKeys{tree: btree.NewG(32, func(a, b keyspace.KeyValue) bool { return a.Key < b.Key })}
}

func (k *simKeys) changed(key string) {
	k.revision++
	k.log = append(k.log, key)
}

func (k *simKeys) put(key string, value any) {
	k.changed(key)
	kv := keyspace.KeyValue{Key: key, Value: value, CreateRevision: k.revision, ModRevision: k.revision}
	if old, ok := k.tree.Get(kv); ok {
		kv.CreateRevision = old.CreateRevision
	}
	k.tree.ReplaceOrInsert(kv)
}

func (k *simKeys) delete(key string) {
	k.changed(key)
	k.tree.Delete(keyspace.KeyValue{Key: key})
}

// Revision, Get, Ascend and ChangedSince are those of a view.
func (k *simKeys) Revision() int64 { return k.revision }

// Get returns a key.
func (k *simKeys) Get(key string) (keyspace.KeyValue, bool) {
	return k.tree.Get(keyspace.KeyValue{Key: key})
}

// Ascend calls fn for each key that starts with prefix.
func (k *simKeys) Ascend(prefix string, fn func(keyspace.KeyValue) bool) {
	k.tree.AscendGreaterOrEqual(keyspace.KeyValue{Key: prefix}, func(kv keyspace.KeyValue) bool {
		return strings.HasPrefix(kv.Key, prefix) && fn(kv)
	})
}

// ChangedSince returns the keys changed since a revision.
func (k *simKeys) ChangedSince(revision int64) (iter.Seq[string], bool) {
	return slices.Values(k.log[revision:]), true
}
