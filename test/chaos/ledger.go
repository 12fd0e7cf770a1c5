package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/internal/testenv"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/test/chaos/ledger"
)

// LedgerConfig of a run of the ledger.
type LedgerConfig struct {
	// Config of brokers, etcd and the store. Kills counts hosts that are killed, too; Writers are depositors.
	Config
	// Program that is a host of the ledger, by ledger.Environment.
	Program string
	// Hosts and Shards, and Messages that are published at least. Batch is how many deposits are appended at once, on average.
	Hosts, Shards, Messages, Batch int
}

// LedgerReport of a run.
type LedgerReport struct {
	Kills, Faults                           int
	Published, Receipts, Repeated, Rollback int64
	HandOffs, Stats                         int
	Took                                    time.Duration
	Violations                              []string
	Done                                    []string // faults
}

// String is a table.
func (r *LedgerReport) String() string {
	return table([]figure{
		{"brokers and hosts killed", r.Kills},
		{"faults", r.Faults},
		{"deposits committed", r.Published},
		{"receipts", r.Receipts},
		{"appends made again", r.Repeated},
		{"transactions rolled back", r.Rollback},
		{"authors of recovery logs", r.HandOffs},
		{"progress asked for", r.Stats},
		{"took", r.Took.Round(time.Second)},
	}, r.Violations)
}

// ledgerRun is one run of the ledger.
type ledgerRun struct {
	*run
	ledgerCounts

	cfg        LedgerConfig
	hosts      []*ledgerHost
	depositors []*depositor
	progress   progress
}

// ledgerHost is a process that runs shards.
type ledgerHost struct {
	*process

	address string
	conn    *grpc.ClientConn
	disk    *disk // nil if it can't be filled
	usable  atomic.Bool
}

// shard names one, by its store.
func shard(i int) string {
	if i%2 == 1 {
		return fmt.Sprintf("json-%d", i)
	}
	return fmt.Sprintf("pebble-%d", i)
}

// sourcesPerShard journals are read by each shard.
const sourcesPerShard = 2

func input(i int) string { return fmt.Sprintf("chaos/deposits/%d", i) }

// inputs of all shards.
func (r *ledgerRun) inputs() []string {
	out := make([]string, r.cfg.Shards*sourcesPerShard)
	for i := range out {
		out[i] = input(i)
	}
	return out
}

// Where recovery logs and hints are.
const (
	ledgerLogs  = "chaos/recovery"
	ledgerHints = ledger.Prefix + "-hints"
)

// RunLedger runs a cluster and hosts of the ledger, publishes deposits while brokers, hosts, etcd and the store suffer, and checks from
// outside that each has had its effect once. Logs are left in the directory.
func RunLedger(ctx context.Context, cfg LedgerConfig) (*LedgerReport, error) {
	c, err := newCluster(ctx, cfg.Config)
	if err != nil {
		return nil, err
	}
	r := &ledgerRun{run: &run{cfg: cfg.Config, cluster: c, history: &history{began: time.Now()}}, cfg: cfg}
	if err := r.layHosts(); err != nil {
		return nil, errors.Join(err, r.endHosts(), c.end())
	}
	proxies := task.New(ctx, "chaos")
	c.serveProxies(proxies)
	n := &nemesis{run: r.run, rand: r.rng("nemesis", 0)}
	report, err := r.all(ctx, n)
	err = errors.Join(err, r.endHosts())
	c.saveLogs()
	err = errors.Join(err, c.end())
	proxies.Cancel()
	return report, errors.Join(err, proxies.Wait())
}

// endHosts that were laid out, whatever became of them.
func (r *ledgerRun) endHosts() error {
	var errs []error
	for _, h := range r.hosts {
		h.kill()
		_ = h.log.save(filepath.Join(r.cfg.Dir, h.name+".log")) // It is for who looks into a failure.
		if h.conn != nil {
			_ = h.conn.Close() // as that of any client
		}
		if h.disk != nil {
			errs = append(errs, h.disk.unmount())
		}
	}
	return errors.Join(errs...)
}

// layHosts out. None runs yet.
func (r *ledgerRun) layHosts() error {
	ports, err := testenv.FreePorts(r.cfg.Hosts)
	if err != nil {
		return err
	}
	for i, port := range ports {
		name := fmt.Sprintf("host-%d", i)
		dir := filepath.Join(r.cfg.Dir, name)
		h := &ledgerHost{
			address: "http://" + address(port),
			process: &process{
				name: name, path: r.cfg.Program, log: new(logBuffer), env: []string{"GOTRACEBACK=all", ledger.Environment()},
				args: []string{
					"--data-dir", dir, "--consumer.zone", fmt.Sprintf("zone-%d", i), "--consumer.id", name,
					"--consumer.bind", "127.0.0.1", "--consumer.host", "127.0.0.1", "--consumer.port", strconv.Itoa(port),
					"--consumer.drain", "10s", "--consumer.grace", "2s", "--consumer.hints-interval", "5s",
					"--broker.address", r.cluster.brokers[i%len(r.cluster.brokers)].address,
					"--etcd.address", r.cluster.etcdList(), "--etcd.lease", lease.String(),
				},
			},
		}
		r.hosts = append(r.hosts, h)
		if r.cfg.DiskSize > 0 {
			if h.disk, err = mountDisk(dir, r.cfg.DiskSize); err != nil {
				return err
			}
		}
		if h.conn, err = grpc.NewClient("passthrough:///"+address(port), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
			return err
		}
	}
	return nil
}

// all of a run: start, load and faults, healing, checks.
func (r *ledgerRun) all(ctx context.Context, n *nemesis) (*LedgerReport, error) {
	starting, cancel := context.WithTimeout(ctx, healing)
	defer cancel()
	if err := r.cluster.start(starting); err != nil {
		return nil, err
	}
	if err := r.apply(starting); err != nil {
		return nil, err
	}
	for _, h := range r.hosts {
		if err := h.awaitReady(starting); err != nil {
			return nil, err
		}
	}
	if err := r.applyShards(starting); err != nil {
		return nil, err
	}
	r.history.began = time.Now()
	n.all = append(n.fleetFaults(), r.hostFaults(n)...)
	err := r.loadUnder(ctx, n)
	report := &LedgerReport{
		Kills: n.kills, Faults: len(n.done), Published: r.published.Load(), Repeated: r.repeated.Load(), Rollback: r.rolled.Load(),
		Took: time.Since(r.history.began), Done: n.done,
	}
	report.Violations = append(report.Violations, n.wrong...)
	if err != nil {
		return report, err
	}
	checking, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	return report, r.check(checking, report)
}

// apply the journals, and wait until they take appends.
func (r *ledgerRun) apply(ctx context.Context) error {
	contents := make(map[string]string)
	for _, name := range append(r.inputs(), ledger.Outputs()...) {
		contents[name] = message.JSONLines
	}
	for i := range r.cfg.Shards {
		contents[ledgerLogs+"/"+shard(i)] = message.RecoveryLog
	}
	var changes []*protocol.ApplyRequest_Change
	for name, content := range contents {
		changes = append(changes, &protocol.ApplyRequest_Change{Upsert: &protocol.JournalSpec{
			Name: name, Replication: r.cfg.Replication, Labels: protocol.MustLabelSet("content-type", content),
			Fragment: &protocol.JournalSpec_Fragment{
				Length: 1 << 20, CompressionCodec: protocol.CompressionCodec_NONE, Stores: []string{r.cluster.depot.url},
				RefreshInterval: durationpb.New(5 * time.Second), FlushInterval: durationpb.New(flushInterval),
			},
		}})
	}
	if _, err := r.cluster.brokers[0].client.Apply(ctx, changes); err != nil {
		return err
	}
	for name := range contents {
		if _, err := r.cluster.brokers[0].client.Barrier(ctx, name); err != nil {
			return err
		}
	}
	return mkdirs(filepath.Join(r.cluster.depot.dir, filepath.Dir(Journal)))
}

func (r *ledgerRun) applyShards(ctx context.Context) error {
	var changes []*shards.ApplyRequest_Change
	for i := range r.cfg.Shards {
		spec := &shards.ShardSpec{
			Id: shard(i), RecoveryLogPrefix: ledgerLogs, HintPrefix: ledgerHints, HintBackups: 2, HotStandbys: 1,
			MaxTxnDuration: durationpb.New(200 * time.Millisecond),
		}
		for k := range sourcesPerShard {
			spec.Sources = append(spec.Sources, &shards.ShardSpec_Source{Journal: input(i*sourcesPerShard + k)})
		}
		changes = append(changes, &shards.ApplyRequest_Change{Upsert: spec, ExpectModRevision: -1})
	}
	resp, err := shards.NewShardClient(r.hosts[0].conn).Apply(ctx, &shards.ApplyRequest{Changes: changes})
	if err == nil && resp.GetStatus() != shards.Status_OK {
		err = resp.GetStatus().Err()
	}
	return err
}

// awaitReady waits until the host takes shards. One that ended is started again.
func (h *ledgerHost) awaitReady(ctx context.Context) error {
	for {
		if !h.running() {
			if err := h.start(); err != nil {
				return err
			}
		}
		if isReady(ctx, h.address) {
			h.usable.Store(true)
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%s isn't ready: %w", h.name, err)
		}
	}
}

func isReady(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/debug/ready", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// loadUnder has depositors publish while the nemesis strikes, and waits until everything is consumed.
func (r *ledgerRun) loadUnder(ctx context.Context, n *nemesis) error {
	load := task.New(ctx, "load")
	for i := range r.cfg.Writers {
		d := r.newDepositor(i)
		r.depositors = append(r.depositors, d)
		load.Go("depositor", d.deposit)
	}
	watch := task.New(ctx, "watch")
	watch.Go("progress", r.watchProgress)
	err := n.strike(load.Context())
	for err == nil && r.published.Load() < int64(r.cfg.Messages) {
		err = pause(load.Context(), 100*time.Millisecond)
	}
	load.Cancel()
	err = errors.Join(load.Wait(), err)
	if err == nil {
		err = r.awaitConsumed(ctx)
	}
	watch.Cancel()
	return errors.Join(err, watch.Wait())
}

// pickHost returns one that clients may use; any, if there is none.
func (r *ledgerRun) pickHost(rng *rand.Rand) *ledgerHost {
	first := rng.IntN(len(r.hosts))
	for i := range r.hosts {
		if h := r.hosts[(first+i)%len(r.hosts)]; h.usable.Load() {
			return h
		}
	}
	return r.hosts[first]
}

// awaitConsumed waits until shards have read all that there is.
func (r *ledgerRun) awaitConsumed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*healing)
	defer cancel()
	rng := r.rng("consumed", 0)
	for i := range r.cfg.Shards {
		heads := make(map[string]int64)
		for k := range sourcesPerShard {
			name := input(i*sourcesPerShard + k)
			b, err := r.cluster.brokers[0].client.Barrier(ctx, name)
			if err != nil {
				return fmt.Errorf("journal %s takes no appends once all is healed: %w", name, err)
			}
			heads[name] = b.Head
		}
		for {
			_, err := r.stat(ctx, rng, shard(i), heads)
			if err == nil {
				break
			}
			if e := pause(ctx, afterFailure); e != nil {
				return fmt.Errorf("shard %s hasn't read through %v once all is healed: %w", shard(i), heads, err)
			}
		}
	}
	return nil
}

// stat asks any host for the progress of a shard, once it has read through offsets.
func (r *ledgerRun) stat(ctx context.Context, rng *rand.Rand, id string, through map[string]int64) (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := shards.NewShardClient(r.pickHost(rng).conn).Stat(ctx, &shards.StatRequest{Shard: id, ReadThrough: through})
	if err == nil && resp.GetStatus() != shards.Status_OK {
		err = resp.GetStatus().Err()
	}
	return resp.GetReadThrough(), err
}
