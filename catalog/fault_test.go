package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/protocol"
)

// A fault hits one request, to etcd or to brokers, of an operation.
type fault string

const (
	failBefore   fault = "fails, and isn't made"
	failAfter    fault = "is made, and fails"
	refuse       fault = "is refused by brokers"
	cancelBefore fault = "is cancelled before"
	cancelAfter  fault = "is cancelled after"
	dieBefore    fault = "is the process's last but one" // it isn't made, and nothing after it
	dieAfter     fault = "is the process's last"
	late         fault = "fails, and is made later" // by brokers, before the bound
)

var errFault = errors.New("injected fault")

// saboteur counts the requests of an operation and breaks one.
type saboteur struct {
	kind   fault
	at     int // the request that is hit, from 1 on
	cancel context.CancelFunc

	mu    sync.Mutex
	armed bool
	n     int
	hit   bool
	dead  bool
	later []func() // what is made later
}

// request passes a request on, or not. brokers tells whom it is to; send makes it.
func (s *saboteur) request(brokers bool, send func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return errFault
	}
	if !s.armed {
		return send()
	}
	if s.n++; s.n != s.at {
		return send()
	}
	s.hit = true
	switch s.kind {
	case failBefore:
		return errFault
	case failAfter:
		_ = send()
		return errFault
	case cancelBefore:
		s.cancel()
		return context.Canceled
	case cancelAfter:
		err := send()
		s.cancel()
		return err
	case dieBefore:
		s.dead = true
		return errFault
	case dieAfter:
		s.dead = true
		_ = send()
		return errFault
	case refuse:
		if brokers {
			return &protocol.StatusError{Status: protocol.Status_NOT_ALLOWED}
		}
	case late:
		if brokers {
			s.later = append(s.later, func() { _ = send() })
			return errFault
		}
	}
	s.hit = false // not a fault of such a request
	return send()
}

func (s *saboteur) arm(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = on
}

// sabotagedKV is the etcd that a catalog sees.
type sabotagedKV struct {
	clientv3.KV
	s *saboteur
}

func (k sabotagedKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	var r *clientv3.GetResponse
	err := k.s.request(false, func() error {
		var err error
		r, err = k.KV.Get(ctx, key, opts...)
		return err
	})
	return r, err
}

func (k sabotagedKV) Txn(ctx context.Context) clientv3.Txn {
	return &sabotagedTxn{Txn: k.KV.Txn(ctx), s: k.s}
}

type sabotagedTxn struct {
	clientv3.Txn
	s *saboteur
}

func (x *sabotagedTxn) If(c ...clientv3.Cmp) clientv3.Txn  { x.Txn = x.Txn.If(c...); return x }
func (x *sabotagedTxn) Then(o ...clientv3.Op) clientv3.Txn { x.Txn = x.Txn.Then(o...); return x }
func (x *sabotagedTxn) Else(o ...clientv3.Op) clientv3.Txn { x.Txn = x.Txn.Else(o...); return x }

func (x *sabotagedTxn) Commit() (*clientv3.TxnResponse, error) {
	var r *clientv3.TxnResponse
	err := x.s.request(false, func() error {
		var err error
		r, err = x.Txn.Commit()
		return err
	})
	return r, err
}

// sabotagedJournals are the brokers that a catalog sees.
type sabotagedJournals struct {
	Journals
	s *saboteur
}

func (j sabotagedJournals) Apply(ctx context.Context, changes []*protocol.ApplyRequest_Change) (*protocol.ApplyResponse, error) {
	var r *protocol.ApplyResponse
	err := j.s.request(true, func() error {
		var err error
		r, err = j.Journals.Apply(context.WithoutCancel(ctx), changes)
		return err
	})
	return r, err
}

func (j sabotagedJournals) List(ctx context.Context, sel *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error) {
	var r []*protocol.ListResponse_Journal
	err := j.s.request(true, func() error {
		var err error
		r, err = j.Journals.List(ctx, sel)
		return err
	})
	return r, err
}

// world of one case: its own prefix in the etcd that all cases share, and its own brokers.
func (w *world) fork(t *testing.T, prefix string) *world {
	t.Helper()
	return &world{t: t, etcd: w.etcd, client: w.etcd.Client(t), brokers: newBrokers(), prefix: prefix, timeout: 4 * time.Second}
}

// sabotaged opens a catalog whose requests s may break. It isn't run.
func (w *world) sabotaged(s *saboteur) *Catalog {
	w.t.Helper()
	client := w.etcd.Client(w.t)
	client.KV = sabotagedKV{KV: client.KV, s: s}
	return w.open(func(c *Config) {
		c.Etcd = client
		c.Journals = sabotagedJournals{Journals: w.brokers, s: s}
	})
}

// sabotaged is an operation that was broken, and what it said.
type sabotaged struct {
	w    *world
	s    *saboteur
	name string // create or drop
	err  error
}

// TestFaultAtEachRequest breaks each request of a create, and of a drop, in each way.
// Afterwards a fresh process has to come to a state without remains, in which the
// table is there if the operation said so, and isn't if it said that.
func TestFaultAtEachRequest(t *testing.T) {
	w := newWorld(t)
	spec := testSpec("clicks")
	spec.Options.Journals = applyBatch + 3 // in two requests
	operations := map[string]func(context.Context, *Catalog, Table) error{
		"create": func(ctx context.Context, c *Catalog, _ Table) error {
			made, err := c.CreateTable(ctx, spec)
			if err == nil && made.ID == 0 {
				return errors.New("no table and no error")
			}
			return err
		},
		"drop": func(ctx context.Context, c *Catalog, table Table) error { return c.DropTable(ctx, table) },
	}
	var all []*sabotaged // all are broken before one is looked at: their bounds pass together
	for name, operation := range operations {
		requests := w.requestsOf(t, name, spec, operation)
		for at := 1; at <= requests; at++ {
			for _, kind := range []fault{failBefore, failAfter, refuse, cancelBefore, cancelAfter, dieBefore, dieAfter, late} {
				x := &sabotaged{
					w: w.fork(t, fmt.Sprintf("/%s-%d-%s", name, at, escapeName(string(kind)))),
					s: &saboteur{kind: kind, at: at}, name: name,
				}
				x.breakIt(t, spec, operation)
				all = append(all, x)
			}
		}
	}
	for _, x := range all {
		t.Run(fmt.Sprintf("%s, request %d %s", x.name, x.s.at, x.s.kind), func(t *testing.T) { x.check(t, spec) })
	}
}

// requestsOf counts the requests of an operation without a fault.
func (w *world) requestsOf(t *testing.T, name string, spec TableSpec, operation func(context.Context, *Catalog, Table) error) int {
	t.Helper()
	s := &saboteur{}
	own := w.fork(t, "/count-"+name)
	c := own.sabotaged(s)
	table := own.prepare(name, spec, c)
	s.arm(true)
	require.NoError(t, operation(t.Context(), c, table))
	require.GreaterOrEqual(t, s.n, 4)
	return s.n
}

func (w *world) prepare(name string, spec TableSpec, c *Catalog) Table {
	w.t.Helper()
	if name != "drop" {
		return Table{}
	}
	table, err := c.CreateTable(w.t.Context(), spec)
	require.NoError(w.t, err)
	return table
}

func (x *sabotaged) breakIt(t *testing.T, spec TableSpec, operation func(context.Context, *Catalog, Table) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	x.s.cancel = cancel
	victim := x.w.sabotaged(x.s)
	table := x.w.prepare(x.name, spec, victim)
	x.s.arm(true)
	x.err = operation(ctx, victim, table)
	x.s.arm(false)
	for _, send := range x.s.later {
		send() // within the bound: a request has no effect beyond
	}
}

func (x *sabotaged) check(t *testing.T, spec TableSpec) {
	t.Helper()
	w := *x.w
	w.t = t
	fresh := w.run()
	_, there := w.clean(fresh).Table("public", "clicks")
	switch {
	case x.err == nil:
		require.Equal(t, x.name == "create", there, "it said that it was done")
	case errors.Is(x.err, ErrUnknownOutcome):
	default:
		require.Equal(t, x.name == "drop", there, "it said that it wasn't done: %v", x.err)
	}
	if !x.s.hit {
		require.NoError(t, x.err, "nothing was broken")
	}
	_, err := w.open().CreateTable(t.Context(), spec)
	if there {
		require.ErrorIs(t, err, ErrExists)
	} else {
		require.NoError(t, err, "the name is free")
	}
	w.clean(fresh)
}

// TestOwnerThatOutlivesItsBound is a process that pauses in the middle of a create
// until another one has taken it back, and then goes on.
func TestOwnerThatOutlivesItsBound(t *testing.T) {
	w := newWorld(t)
	w.timeout = 500 * time.Millisecond
	other := w.run()
	paused := w.open(func(c *Config) {
		c.Journals = lateJournals{Journals: w.brokers, wait: func() {
			// Until the record of the create, which is there already, was taken and its journals were dropped.
			now, err := w.client.Get(t.Context(), w.prefix)
			require.NoError(t, err)
			require.NoError(t, other.mirror.WaitForRevision(t.Context(), now.Header.GetRevision()))
			require.Eventually(t, func() bool { return len(other.records()) == 0 }, time.Minute, time.Millisecond)
		}}
	})
	_, err := paused.CreateTable(t.Context(), testSpec("clicks"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, w.clean(other).Tables())
	require.Empty(t, w.brokers.names(), "its journals came after the other process had looked")
}

// lateJournals make changes though the context has ended, after a wait.
type lateJournals struct {
	Journals
	wait func()
}

func (j lateJournals) Apply(ctx context.Context, changes []*protocol.ApplyRequest_Change) (*protocol.ApplyResponse, error) {
	if changes[0].GetUpsert() != nil {
		j.wait()
	}
	return j.Journals.Apply(context.WithoutCancel(ctx), changes)
}

// TestSweepGoesOnWhileBrokersAreAway has brokers that fail for a while.
func TestSweepGoesOnWhileBrokersAreAway(t *testing.T) {
	w := newWorld(t)
	_, err := w.open().CreateTable(t.Context(), testSpec("clicks"))
	require.NoError(t, err)
	w.timeout = 200 * time.Millisecond // when the sweep is due
	var mu sync.Mutex
	away, refused := true, 0
	c := w.run(func(c *Config) {
		c.Journals = &hookedJournals{Journals: w.brokers, before: func(call string, _ int) error {
			mu.Lock()
			defer mu.Unlock()
			if away && call == "Apply" {
				refused++
				return errFault
			}
			return nil
		}}
	})
	require.NoError(t, c.DropTable(t.Context(), w.table("public", "clicks")), "the table is gone, whatever becomes of its journals")
	require.Empty(t, w.snapshot(c).Tables())
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return refused >= 2
	}, time.Minute, time.Millisecond)
	mu.Lock()
	away = false
	mu.Unlock()
	w.clean(c)
	require.Empty(t, w.brokers.names())
}
