package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"

	committed "broadsheet.dev/broadsheet/client/tail"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/test/chaos/ledger"
)

// progress of shards as they told it, over and over: it never goes back.
type progress struct {
	asked atomic.Int64
	wrong []string
}

// watchProgress asks for it until ctx is done.
func (r *ledgerRun) watchProgress(ctx context.Context) error {
	rng := r.rng("progress", 0)
	last := make(map[string]int64)
	for ctx.Err() == nil {
		for i := range r.cfg.Shards {
			if through, err := r.stat(ctx, rng, shard(i), nil); err == nil { // else it has no primary now
				r.progress.told(shard(i), through, last)
			}
		}
		_ = pause(ctx, 200*time.Millisecond) // it ends early with ctx
	}
	return nil
}

// told is what a shard had read through, by journal, after what it had told last.
func (p *progress) told(id string, through, last map[string]int64) {
	p.asked.Add(1)
	for journal, at := range through {
		if at < last[journal] {
			p.wrong = appendFew(p.wrong, fmt.Sprintf("C6: shard %s had read %s through %d, and then through %d", id, journal, last[journal], at))
		}
		last[journal] = max(last[journal], at)
	}
}

// check all that can be checked from outside, once all is consumed.
func (r *ledgerRun) check(ctx context.Context, report *LedgerReport) error {
	report.Stats = int(r.progress.asked.Load())
	wrong := r.progress.wrong
	books := r.books()
	if n := sum(books); n != r.published.Load() {
		return fmt.Errorf("the books have %d deposits, and %d were published", n, r.published.Load())
	}
	receipts := make(map[ledgerKey]int64)
	if err := r.eachReceipt(ctx, func(x *ledger.Receipt) {
		report.Receipts++
		key := ledgerKey{x.Journal, x.Depositor}
		if wrong = appendFew(wrong, checkReceipt(key, x.Seq, receipts[key])); x.Seq > receipts[key] {
			receipts[key] = x.Seq
		}
	}); err != nil {
		return err
	}
	wrong = append(wrong, compare("C2: receipts of", receipts, books)...)
	for i := range r.cfg.Shards {
		found, err := r.checkShard(ctx, i)
		if err != nil {
			return err
		}
		wrong = append(wrong, found...)
		content, err := readAll(ctx, r.cluster.brokers[0], ledgerLogs+"/"+shard(i))
		if err != nil {
			return err
		}
		authors, found := checkAuthors(shard(i), content)
		report.HandOffs += authors
		wrong = append(wrong, found...)
	}
	for _, h := range r.hosts {
		wrong = append(wrong, checkProcess(h.process)...)
	}
	for _, m := range r.cluster.brokers {
		wrong = append(wrong, checkProcess(m.process)...)
	}
	report.Violations = append(report.Violations, wrong...)
	if len(wrong) > 0 {
		return r.saveInputs(ctx)
	}
	return nil
}

// saveInputs keeps them as files, for whoever looks into a failure.
func (r *ledgerRun) saveInputs(ctx context.Context) error {
	for i, name := range r.inputs() {
		content, err := readAll(ctx, r.cluster.brokers[0], name)
		if err == nil {
			err = os.WriteFile(filepath.Join(r.cfg.Dir, fmt.Sprintf("deposits-%d", i)), content, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ledgerKey names the deposits of a depositor in a journal.
type ledgerKey struct {
	journal   string
	depositor int
}

// books of all depositors: how many deposits there are.
func (r *ledgerRun) books() map[ledgerKey]int64 {
	out := make(map[ledgerKey]int64)
	for _, d := range r.depositors {
		for journal, n := range d.seqs {
			out[ledgerKey{journal, d.id}] = n
		}
	}
	return out
}

func sum(books map[ledgerKey]int64) int64 {
	var n int64
	for _, x := range books {
		n += x
	}
	return n
}

// mostWrong bounds how often one thing is told.
const mostWrong = 50

func appendFew(wrong []string, more string) []string {
	if more == "" || len(wrong) >= mostWrong {
		return wrong
	}
	return append(wrong, more)
}

// checkReceipt is that a receipt is of the deposit after the last one.
func checkReceipt(key ledgerKey, seq, last int64) string {
	switch {
	case seq <= last:
		return fmt.Sprintf("C2: deposit %d of depositor %d in %s has another receipt, after that of %d", seq, key.depositor, key.journal, last)
	case seq > last+1:
		return fmt.Sprintf("C2: deposits of depositor %d in %s have no receipts, or late ones: from %d until %d", key.depositor, key.journal, last+1, seq)
	}
	return ""
}

// compare counts with the books.
func compare(what string, got, books map[ledgerKey]int64) []string {
	var out []string
	for key, n := range books {
		if got[key] != n {
			out = append(out, fmt.Sprintf("%s depositor %d in %s: %d, and there are %d deposits", what, key.depositor, key.journal, got[key], n))
		}
	}
	for key := range got {
		if _, ok := books[key]; !ok {
			out = append(out, fmt.Sprintf("%s depositor %d in %s, who has none", what, key.depositor, key.journal))
		}
	}
	slices.Sort(out)
	return out
}

// eachReceipt that a reader of committed messages gets.
func (r *ledgerRun) eachReceipt(ctx context.Context, fn func(*ledger.Receipt)) error {
	for _, name := range ledger.Outputs() {
		t := committed.New(r.cluster.brokers[0].client, committed.Labelled(protocol.MetaLabelName, name), func(*protocol.JournalSpec) (message.Message, error) {
			return new(ledger.Receipt), nil
		})
		err := t.Read(ctx, func(env message.Envelope) error {
			fn(env.Message.(*ledger.Receipt))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkShard plays its log to empty disks, from each of the hints that are kept and from the log's begin, and has the state that is found there
// be that of the books.
func (r *ledgerRun) checkShard(ctx context.Context, i int) ([]string, error) {
	id := shard(i)
	resp, err := shards.NewShardClient(r.hosts[0].conn).GetHints(ctx, &shards.GetHintsRequest{Shard: id})
	if err != nil {
		return nil, fmt.Errorf("hints of shard %s: %w", id, err)
	}
	if resp.GetStatus() != shards.Status_OK {
		return nil, fmt.Errorf("hints of shard %s: %w", id, resp.GetStatus().Err())
	}
	from := map[string]*recoverylog.FSMHints{"the begin": {Log: ledgerLogs + "/" + id}}
	for k, h := range append([]*shards.GetHintsResponse_ResponseHints{resp.GetPrimaryHints()}, resp.GetBackupHints()...) {
		if h.GetHints() != nil {
			from[fmt.Sprintf("hints %d", k)] = h.GetHints()
		}
	}
	want := r.wanted(i)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(from)) {
		got, err := r.recovered(ctx, id, from[name])
		if err != nil {
			out = append(out, fmt.Sprintf("C7: shard %s isn't recovered from %s: %v", id, name, err))
			continue
		}
		out = append(out, checkState(fmt.Sprintf("shard %s from %s", id, name), got, want)...)
	}
	return out, nil
}

// wanted state of a shard, by the books.
func (r *ledgerRun) wanted(i int) map[string]int64 {
	out := make(map[string]int64)
	for k := range sourcesPerShard {
		journal := input(i*sourcesPerShard + k)
		for _, d := range r.depositors {
			if n := d.seqs[journal]; n != 0 {
				out[ledger.Last(journal, d.id)] = n
			}
			for account, amount := range d.balances[journal] {
				out[ledger.Balance(account)] += amount
			}
		}
	}
	return out
}

// recovered state of a shard, by its log alone.
func (r *ledgerRun) recovered(ctx context.Context, id string, hints *recoverylog.FSMHints) (map[string]int64, error) {
	const dir = "/recovered"
	disk := vfs.NewMem()
	p, err := recoverylog.NewPlayer(recoverylog.PlayerConfig{
		Journals: recoverylog.Brokers(r.cluster.brokers[0].client), Hints: hints, FS: disk, Dir: dir,
	})
	if err == nil {
		err = p.FinishAtWriteHead()
	}
	if err == nil {
		_, err = p.Play(ctx)
	}
	if err != nil {
		return nil, err
	}
	s, err := ledger.Open(id, disk, dir)
	if err != nil {
		return nil, err
	}
	all, err := s.All()
	return all, errors.Join(err, s.Close())
}

// checkState compares a state with that which is wanted.
func checkState(whose string, got, want map[string]int64) []string {
	var out []string
	for name, n := range got {
		switch {
		case strings.HasPrefix(name, ledger.Wrong):
			out = append(out, fmt.Sprintf("C1: %s: deposit %s came after %d", whose, strings.TrimPrefix(name, ledger.Wrong), n))
		case n != want[name]:
			out = append(out, fmt.Sprintf("C1: %s: %s is %d, and should be %d", whose, name, n, want[name]))
		}
	}
	for name, n := range want {
		if _, ok := got[name]; !ok && n != 0 {
			out = append(out, fmt.Sprintf("C1: %s: %s is missing, and should be %d", whose, name, n))
		}
	}
	slices.Sort(out)
	return out[:min(len(out), mostWrong)]
}

// checkAuthors counts those of a recovery log: once another has taken it over, nothing is there of the one before.
func checkAuthors(id string, log []byte) (int, []string) {
	framing, err := message.FramingOf(message.ProtobufFixed)
	if err != nil {
		return 0, []string{err.Error()}
	}
	var out []string
	seen, now := make(map[uint32]bool), uint32(0)
	for r := bufio.NewReaderSize(strings.NewReader(string(log)), 1<<20); ; {
		frame, err := framing.ReadFrame(r, 1<<20)
		if errors.Is(err, io.EOF) {
			return len(seen), out
		}
		op := new(recoverylog.RecordedOp)
		if err == nil {
			err = proto.Unmarshal(framing.Message(frame), op)
		}
		if err == nil && op.GetWrite() != nil {
			_, err = r.Discard(int(op.GetWrite().GetLength()))
		}
		if err != nil {
			return len(seen), append(out, fmt.Sprintf("C5: recovery log of %s: %v", id, err))
		}
		if op.GetAuthor() == now {
			continue
		}
		if now = op.GetAuthor(); seen[now] {
			out = appendFew(out, fmt.Sprintf("C5: author %d of the recovery log of %s recorded after another had taken it over", now, id))
		}
		seen[now] = true
	}
}
