package broker

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

var (
	walks    = flag.Int("walks", 24, "how many random walks to take")
	walkFrom = flag.Uint64("walk.from", 1, "seed of the first walk")
)

// TestEpochsWalk: real replicas are taken through crashes, lost and late writes and changing
// assignments, in an order that chance makes. What package epoch's model searches with its rules
// alone holds with all that is around them: no acknowledged byte is lost, or acknowledged or served
// with another value; registers agree with the appends; and in the end the journal goes on.
func TestEpochsWalk(t *testing.T) {
	for i := range uint64(*walks) { //nolint:gosec // it is small
		seed := *walkFrom + i
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := walk{world: newWorld(t, seed), chance: rand.New(rand.NewPCG(seed, 1)), seen: make(map[int64]byte), acked: make(map[int64]byte)}
				defer w.end()
				for range 60 {
					w.step()
				}
				w.settle()
			})
		})
	}
}

// walk is a world with what was acknowledged and seen of it.
type walk struct {
	*world
	chance *rand.Rand
	count  int
	acked  map[int64]byte
	seen   map[int64]byte
}

// step does one thing, and looks at all that is served then.
func (w *walk) step() {
	w.t.Helper()
	switch w.chance.IntN(12) {
	case 0:
		w.assign(w.pick(), func() bool { return w.chance.IntN(4) == 0 })
	case 1:
		if n := w.nodes[w.chance.IntN(3)]; n.process != nil {
			w.mu.Lock()
			n.process.crash()
			w.mu.Unlock()
		}
	case 2, 3:
		if n := w.nodes[w.chance.IntN(3)]; n.process == nil {
			n.start()
			w.assign(w.pick(), func() bool { return false })
		}
	case 4:
		w.arrive()
	case 5:
		w.mu.Lock()
		w.trouble, w.slow = 1+w.chance.IntN(12), w.chance.IntN(4)
		w.mu.Unlock()
	case 6:
		w.pass(time.Minute)
	default:
		w.appendSome(1 + w.chance.IntN(3))
	}
	w.pass(time.Second)
	w.bury()
	w.look()
}

func (w *walk) pass(d time.Duration) {
	require.NoError(w.t, wait(w.t.Context(), d))
	synctest.Wait()
}

// pick some nodes that are up.
func (w *walk) pick() []*node {
	var up []*node
	for _, i := range w.chance.Perm(3) {
		if p := w.nodes[i].process; p != nil && !p.isDead() {
			up = append(up, w.nodes[i])
		}
	}
	return up[:min(len(up), 1+w.chance.IntN(2))]
}

// appendSome at once, at whoever takes itself for the primary.
func (w *walk) appendSome(n int) {
	w.t.Helper()
	for _, node := range w.nodes {
		p := node.process
		if p == nil || p.replica == nil {
			continue
		}
		if e := p.entry(spool.ID{}); e == nil || !p.replica.isPrimary(e) {
			continue
		}
		type result struct {
			author int
			text   string
			out    outcome
			dead   bool
		}
		results := make(chan result, n)
		for range n {
			w.count++
			author, text := w.count, fmt.Sprintf("%03d ", w.count)
			go func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), time.Minute)
				defer cancel()
				o := p.replica.commit(ctx, &ticket{
					spec: w.spec, small: []byte(text), size: int64(len(text)),
					union: protocol.MustLabelSet("author", strconv.Itoa(author)),
				})
				results <- result{author, text, o, p.isDead()}
			}()
		}
		for range n {
			r := <-results
			c := r.out.response.GetCommit()
			switch {
			case r.out.err != nil || r.dead || c == nil:
				if r.out.err != nil {
					require.NotContains(w.t, r.out.err.Error(), "restored from a backup", "etcd lost nothing")
				}
				w.t.Logf("append %d at %s: again %t, %v", r.author, node.id.GetSuffix(), r.out.again, r.out.err)
			default:
				w.acknowledged(r.author, r.text, r.out.response)
			}
		}
	}
}

func (w *walk) acknowledged(author int, text string, resp *protocol.AppendResponse) {
	w.t.Helper()
	begin := resp.GetCommit().GetBegin()
	w.t.Logf("append %d acknowledged at %d", author, begin)
	for i := range text {
		at := begin + int64(i)
		if was, ok := w.acked[at]; ok {
			require.FailNow(w.t, "acknowledged twice", "offset %d as %q and %q", at, was, text[i])
		}
		w.acked[at] = text[i]
		w.show(at, text[i])
	}
	require.Equal(w.t, strconv.Itoa(author), resp.GetRegisters().ValueOf("author"))
}

// show a byte that somebody was served, or told of.
func (w *walk) show(at int64, b byte) {
	w.t.Helper()
	if was, ok := w.seen[at]; ok && was != b {
		require.FailNow(w.t, "two values", "offset %d has %q and %q", at, was, b)
	}
	w.seen[at] = b
}

// look at all that is served, and that is stored.
func (w *walk) look() {
	w.t.Helper()
	for _, n := range w.nodes {
		if p := n.process; p != nil && p.replica != nil && isClosed(p.replica.opened) {
			w.lookAt(p.replica.spool, w.show)
		}
	}
	w.lookAtStore(w.show)
}

// lookAt what a spool completed, and what is below its watermark.
func (w *walk) lookAt(s *spool.Journal, show func(int64, byte)) {
	w.t.Helper()
	entries := []fragments.Entry{s.Open()}
	for _, c := range s.Completed() {
		entries = append(entries, fragments.Entry{Fragment: c.Fragment, Local: c.Content})
	}
	for _, e := range entries {
		b := make([]byte, e.End-e.Begin)
		if n, err := e.Local.ReadAt(b, e.Begin); n < len(b) {
			require.NoError(w.t, err)
		}
		for i := range b {
			show(e.Begin+int64(i), b[i])
		}
	}
}

func (w *walk) lookAtStore(show func(int64, byte)) {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.root, "a", "journal", "*"))
	require.NoError(w.t, err)
	for _, path := range found {
		name, _, _ := strings.Cut(filepath.Base(path), "-")
		begin, err := strconv.ParseInt(name, 16, 64)
		if err != nil {
			continue // It is being written.
		}
		b, err := os.ReadFile(path)
		require.NoError(w.t, err)
		for i := range b {
			show(begin+int64(i), b[i])
		}
	}
}

// settle lets all writes arrive, brings all nodes up, and finds two that go on. Then
// nothing of what was acknowledged is missing.
func (w *walk) settle() {
	w.t.Helper()
	w.mu.Lock()
	w.trouble, w.slow = 0, 0
	w.mu.Unlock()
	w.pass(time.Minute)
	w.bury()
	for range w.late {
		w.arrive()
	}
	for _, n := range w.nodes {
		if n.process == nil {
			n.start()
		}
	}
	before := len(w.acked)
	for i := 0; i < 6 && len(w.acked) == before; i++ {
		a, b := w.nodes[i%3], w.nodes[(i+1+i/3)%3]
		w.assign([]*node{a, b}, func() bool { return false })
		w.pass(time.Minute)
		w.appendSome(1)
	}
	require.Greater(w.t, len(w.acked), before, "no two nodes go on, of epochs %s", w.spell())
	w.pass(time.Minute)
	w.look()
	w.lookAtAll()
}

// lookAtAll that is anywhere, of which nothing that was acknowledged is missing.
func (w *walk) lookAtAll() {
	w.t.Helper()
	held := make(map[int64]byte)
	hold := func(at int64, b byte) {
		if _, ok := held[at]; !ok || w.acked[at] == b {
			held[at] = b
		}
	}
	w.lookAtStore(hold)
	for _, n := range w.nodes {
		p := n.process
		if p.replica != nil {
			require.NoError(w.t, p.replica.close())
		}
		s, err := p.env.spools.Journal(w.t.Context(), spool.ID{Journal: w.spec.GetName(), CreateRevision: 1}, spool.JournalOptions{
			Codec: protocol.CompressionCodec_NONE,
		})
		require.NoError(w.t, err)
		require.NoError(w.t, s.Acknowledge(s.State().End))
		w.lookAt(s, hold)
		require.NoError(w.t, s.Close())
		p.replica = nil
	}
	for at, b := range w.acked {
		require.Equal(w.t, string(b), string(held[at]), "offset %d, which was acknowledged, of epochs %s", at, w.spell())
	}
}

func (w *walk) spell() string {
	var out strings.Builder
	var last epoch.Epoch
	for _, e := range w.epochs {
		fmt.Fprintf(&out, "%d", e.Number)
		for _, m := range e.Members {
			out.WriteString(" " + m.Suffix)
		}
		fmt.Fprintf(&out, " at %d; ", e.Start)
		last = e
	}
	return out.String() + strconv.FormatInt(last.Number, 10)
}
