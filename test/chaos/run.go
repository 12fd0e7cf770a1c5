package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// Journal that writers append to, and that of appends under conditions.
const (
	Journal        = "chaos/records"
	contestJournal = "chaos/contest"
)

// Config of a run.
type Config struct {
	// Dir has everything that the processes keep.
	Dir string
	// Broadsheet and Etcd are the programs. With Versitygw the store is S3, else a directory.
	Broadsheet, Etcd, Versitygw string
	// Ack is the mode of the brokers.
	Ack string
	// Seed of all that is random.
	Seed uint64
	// Kills of brokers that are done.
	Kills int
	// EtcdMembers, Brokers, Writers: how many of each. Replication of the journals.
	EtcdMembers, Brokers, Writers int
	Replication                   int32
	// DiskSize of each broker, whose disk then fills now and then; 0 leaves that out. Others than root can't.
	DiskSize int64
	// AwaitStored has the end of the run wait until everything is stored, for longer than a minute.
	AwaitStored bool
	// Pace is how long a writer pauses after an append, on average.
	Pace time.Duration
}

// Report of a run.
type Report struct {
	Kills, Faults                       int
	Acked, Refused, Unknown, Conditions int
	Bytes                               int64
	Epochs, Objects                     int
	Took                                time.Duration
	Outages                             []time.Duration // the longest between two acknowledgements, longest first
	Violations                          []string
	Done                                []string // faults
}

// String is a table.
func (r *Report) String() string {
	return table([]figure{
		{"brokers killed", r.Kills},
		{"faults", r.Faults},
		{"appends acknowledged", r.Acked},
		{"appends refused", r.Refused},
		{"appends of unknown outcome", r.Unknown},
		{"appends under conditions", r.Conditions},
		{"bytes acknowledged", r.Bytes},
		{"epochs formed", r.Epochs},
		{"objects stored", r.Objects},
		{"took", r.Took.Round(time.Second)},
		{"longest outages", r.Outages},
	}, r.Violations)
}

// figure of a report.
type figure struct {
	name  string
	value any
}

// table of figures, and the violations.
func table(figures []figure, violations []string) string {
	var b strings.Builder
	for _, f := range append(figures, figure{"violations", len(violations)}) {
		fmt.Fprintf(&b, "%-28s %v\n", f.name, f.value)
	}
	for _, v := range violations {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	return b.String()
}

// run is one run.
type run struct {
	cfg     Config
	cluster *cluster
	history *history
	contest *contest
	tails   []*tail
	head    int64 // of the journal once all is healed; readers must get there
	outages outages
}

// outages are the times in which nothing was acknowledged.
type outages struct {
	mu   sync.Mutex
	last time.Duration
	all  []time.Duration
}

func (o *outages) acked(_, at time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if gap := at - o.last; gap > time.Second {
		o.all = append(o.all, gap.Round(10*time.Millisecond))
	}
	o.last = max(o.last, at)
}

func (o *outages) longest() []time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.SortFunc(o.all, func(a, b time.Duration) int { return int(b - a) })
	return o.all[:min(len(o.all), 8)]
}

// rng for one purpose, of the run's seed.
func (r *run) rng(purpose string, i int) *rand.Rand {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d", purpose, i)          // A hash takes everything.
	return rand.New(rand.NewPCG(r.cfg.Seed, h.Sum64())) //nolint:gosec // it is to be repeatable
}

// Run runs a cluster with load and faults, and checks what came of it. An error is that the run
// itself failed: a broker didn't come back, say. Logs are left in the directory.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	c, err := newCluster(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, cluster: c, history: &history{began: time.Now()}, contest: &contest{journal: contestJournal}}
	proxies := task.New(ctx, "chaos")
	c.serveProxies(proxies)
	n := &nemesis{run: r, rand: r.rng("nemesis", 0)}
	n.all = n.faults()
	report, err := r.all(ctx, n)
	c.saveLogs()
	_ = r.history.save(filepath.Join(cfg.Dir, "history")) // It is for who looks into a failure.
	err = errors.Join(err, c.end())
	proxies.Cancel()
	return report, errors.Join(err, proxies.Wait())
}

// all of a run: start, load and faults, healing, checks.
func (r *run) all(ctx context.Context, n *nemesis) (*Report, error) {
	starting, cancel := context.WithTimeout(ctx, healing)
	defer cancel()
	if err := r.cluster.start(starting); err != nil {
		return nil, err
	}
	if err := r.apply(starting); err != nil {
		return nil, err
	}
	r.history.began = time.Now()
	err := r.loadUnder(ctx, n)
	report := r.report(n)
	if err != nil {
		return report, err
	}
	checking, cancel := context.WithTimeout(ctx, 3*healing)
	defer cancel()
	report.Violations, err = r.check(checking)
	report.Violations = append(report.Violations, n.wrong...)
	objects, listed := r.cluster.depot.objects()
	report.Objects = len(objects)
	return report, errors.Join(err, listed)
}

func (r *run) report(n *nemesis) *Report {
	_, by, size := r.history.counts()
	report := &Report{
		Kills: n.kills, Faults: len(n.done), Acked: by[acked], Refused: by[refused], Unknown: by[unknown], Bytes: size,
		Conditions: len(r.contest.ops), Took: time.Since(r.history.began), Outages: r.outages.longest(), Done: n.done,
	}
	for _, m := range r.cluster.brokers {
		epochs, _ := m.log.counts()
		report.Epochs += epochs
	}
	return report
}

// apply the journals, and wait until they take appends.
func (r *run) apply(ctx context.Context) error {
	var changes []*protocol.ApplyRequest_Change
	for _, name := range []string{Journal, contestJournal} {
		changes = append(changes, &protocol.ApplyRequest_Change{Upsert: &protocol.JournalSpec{
			Name: name, Replication: r.cfg.Replication,
			Fragment: &protocol.JournalSpec_Fragment{
				Length: 64 << 10, CompressionCodec: protocol.CompressionCodec_NONE, Stores: []string{r.cluster.depot.url},
				RefreshInterval: durationpb.New(5 * time.Second), FlushInterval: durationpb.New(flushInterval),
			},
		}})
	}
	_, err := r.cluster.brokers[0].client.Apply(ctx, changes)
	if err != nil {
		return err
	}
	for _, name := range []string{Journal, contestJournal} {
		if _, err := r.cluster.brokers[0].client.Barrier(ctx, name); err != nil {
			return err
		}
	}
	return mkdirs(filepath.Join(r.cluster.depot.dir, filepath.Dir(Journal)))
}

// loadUnder has clients use the cluster while the nemesis strikes.
func (r *run) loadUnder(ctx context.Context, n *nemesis) error {
	load := task.New(ctx, "load")
	for i := range r.cfg.Writers {
		load.Go("writer", func(ctx context.Context) error { return r.write(ctx, i) })
		load.Go("contest", func(ctx context.Context) error { return r.compete(ctx, r.contest, i) })
	}
	readers := task.New(ctx, "readers")
	for _, m := range r.cluster.brokers {
		t := &tail{broker: m.name}
		r.tails = append(r.tails, t)
		readers.Go(m.name, func(ctx context.Context) error { return r.read(ctx, m, t) })
	}
	err := n.strike(ctx)
	if err == nil {
		err = n.rest(ctx, time.Second, 2*time.Second)
	}
	load.Cancel()
	err = errors.Join(err, load.Wait())
	if err == nil {
		// All is healed: journals take appends soon.
		healed, cancel := context.WithTimeout(ctx, healing)
		for _, name := range []string{Journal, contestJournal} {
			barrier, e := r.cluster.brokers[0].client.Barrier(healed, name)
			if e != nil {
				err = errors.Join(err, fmt.Errorf("journal %s takes no appends once all is healed: %w", name, e))
			} else if name == Journal {
				r.head = barrier.Head
			}
		}
		cancel()
		r.awaitTails(ctx)
	}
	readers.Cancel()
	return errors.Join(err, readers.Wait())
}

// awaitTails waits until readers are at the end. Those who don't get there in time are found by check.
func (r *run) awaitTails(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, healing)
	defer cancel()
	for _, t := range r.tails {
		for t.at.Load() < r.head && !t.ended.Load() {
			if pause(ctx, 10*time.Millisecond) != nil {
				return
			}
		}
	}
}

// check all that can be checked from outside.
func (r *run) check(ctx context.Context) ([]string, error) {
	var out []string
	objects, err := r.cluster.depot.objects()
	if err != nil {
		return nil, err
	}
	contents := make(map[string][]byte)
	for _, journal := range []string{Journal, contestJournal} {
		for _, m := range r.cluster.brokers {
			content, err := readAll(ctx, m, journal)
			if err != nil {
				out = append(out, fmt.Sprintf("J3: journal %s at %s can't be read beyond offset %d: %v", journal, m.name, len(content), err))
				continue
			}
			if first, ok := contents[journal]; !ok {
				contents[journal] = content
			} else if !bytes.Equal(first, content) {
				out = append(out, fmt.Sprintf("J5: journal %s at %s has %d bytes that differ from another's %d", journal, m.name, len(content), len(first)))
			}
		}
		out = append(out, checkObjects(journal, contents[journal], objects)...)
	}
	out = append(out, checkAppends(contents[Journal], r.history.ops)...)
	out = append(out, r.contest.check(contents[contestJournal], time.Minute)...)
	exposed, err := r.checkExposure(ctx, contents)
	if err != nil {
		return nil, err
	}
	out = append(out, exposed...)
	for _, t := range r.tails {
		out = append(out, checkTail(t, contents[Journal], r.head)...)
	}
	for _, m := range r.cluster.brokers {
		out = append(out, checkProcess(m.process)...)
	}
	return out, nil
}

// checkProcess tells of crashes, and of ends that nobody asked for.
func checkProcess(p *process) []string {
	var out []string
	if _, crashes := p.log.counts(); crashes > 0 {
		out = append(out, fmt.Sprintf("%s panicked, or ended by a fatal error, %d times", p.name, crashes))
	}
	for _, how := range p.unasked() {
		out = append(out, fmt.Sprintf("%s ended, which nobody asked for: %s", p.name, how))
	}
	return out
}
