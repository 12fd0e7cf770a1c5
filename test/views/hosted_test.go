package views

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/sqlgw"
	"broadsheet.dev/broadsheet/views"
	"broadsheet.dev/broadsheet/views/keep"
)

// hosted is a world whose views are kept by hosts, to the last of which the gateway's connection leads.
type hosted struct {
	*world

	last atomic.Pointer[grpc.ClientConn]
	made int
}

// Invoke as of grpc.ClientConnInterface.
func (w *hosted) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return w.last.Load().Invoke(ctx, method, args, reply, opts...)
}

// NewStream as of grpc.ClientConnInterface.
func (w *hosted) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return w.last.Load().NewStream(ctx, desc, method, opts...)
}

// add a host, and a keeper that makes the shards of views.
func (w *hosted) add() *consumertest.Host {
	t, log := w.t, slog.New(slog.DiscardHandler)
	app, err := views.New(views.Config{Definitions: views.NewCatalog(w.tables), Engine: w.newEngine(), Logger: log, Batch: 4000})
	require.NoError(t, err)
	t.Cleanup(app.Close)
	w.made++
	h := consumertest.New(t, consumertest.Config{
		Etcd: w.broker.Etcd, Endpoint: w.broker.Endpoint(), Application: app, Zone: fmt.Sprint("zone-", w.made%2), Suffix: fmt.Sprint("host-", w.made),
		Adjust: func(c *consumer.Config) {
			c.Register, c.Capabilities = app.Register, views.Capabilities()
			c.HintsInterval, c.Grace = 100*time.Millisecond, time.Second
		},
	})
	app.Attach(h.Host)
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(h.URL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	w.last.Store(conn)
	k := keep.New(keep.Config{
		Entries: keep.EntriesOf(w.tables), Changed: w.tables.Changed, Shards: h.Client(), Journals: w.brokers, Etcd: w.broker.Etcd, HintPrefix: "/hints", Logger: log,
	})
	w.tasks.Go("keeper", k.Run)
	return h
}

// queries of views over the table t of k, v, s, f and n.
var queries = map[string]string{
	"by_key":   "select k, count(*) as n, sum(v) as s, avg(n) as a, min(s) as lo, max(f) as hi from t group by k",
	"large":    "select k % 4 as m, round(sum(f) / count(*), 2) as q, bool_or(v > 90) as b, max(n) || 'x' as t from t where v <> 13 group by 1 having count(*) > 3",
	"filtered": "select upper(s) as u, v * 2 + k as w, n from t where v % 5 = 0",
	"single":   "select count(*) as n, sum(n) as s, avg(v) as a, count(s) filter (where v > 50) as c from t",
}

// rowsSQL is a statement that inserts some rows.
func rowsSQL(n int) string {
	var list []string
	for range n {
		s := "null"
		if rand.IntN(4) > 0 {
			s = fmt.Sprintf("'s%d'", rand.IntN(30))
		}
		list = append(list, fmt.Sprintf("(%d, %d, %s, %d.25, %d.%02d)", rand.IntN(12), rand.IntN(100), s, rand.IntN(1000), rand.IntN(1000), rand.IntN(100)))
	}
	return "insert into t values " + strings.Join(list, ", ")
}

// exact requires of each view that it is what its query is over the table, as VERIFY tells, and as it is read.
func (w *hosted) exact(c *pgx.Conn) {
	w.t.Helper()
	for name, query := range queries {
		require.Empty(w.t, w.rows(c, "verify materialized view "+name), name)
		list := "select * from " + name
		if name == "large" || name == "by_key" { // sums of floats depend on the order
			continue
		}
		require.Equal(w.t, w.rows(c, query), w.rows(c, list), name)
	}
}

// TestHosted: views of SQL, kept by hosts which are killed, at once and one after another, while rows are inserted. They are exact after
// each time, and a subscription goes on.
func TestHosted(t *testing.T) {
	w := &hosted{world: newStores(t)}
	hosts := []*consumertest.Host{w.add(), w.add()}
	w.serve(sqlgw.ViewsBy(views.NewClient(w)))
	c := w.connect()
	w.run(c, "create table t (k int8, v int8, s text, f float8, n numeric(12,2)) with (journals = 3)", rowsSQL(50))
	for name, query := range queries {
		w.run(c, "create materialized view "+name+" with (standbys = 1) as "+query)
	}
	w.exact(c)
	require.Equal(t, []string{"0"}, w.rows(c, "select count(*) - 50 from t"))
	require.Equal(t, []string{"t"}, w.rows(c, "select sum(b.n) = (select count(*) from t) as same from by_key b"))

	follower := w.connect()
	w.run(follower, "begin", "declare s cursor for subscribe to single")
	var told []string
	tell := func() {
		for _, row := range w.rows(follower, "fetch 100 from s with (timeout = '10ms')") {
			if parts := strings.SplitN(row, "|", 4); parts[2] == "1" {
				told = append(told, parts[3])
			}
		}
	}
	for round := range 4 {
		stop := make(chan struct{})
		inserter := w.connect()
		var inserting sync.WaitGroup
		var failed error
		inserting.Go(func() {
			for failed == nil {
				select {
				case <-stop:
					return
				default:
					_, failed = inserter.Exec(t.Context(), rowsSQL(1+rand.IntN(40)))
				}
			}
		})
		next := w.add()
		require.NoError(t, hosts[0].Kill(t.Context()))
		if round == 2 { // everybody: the logs are all that is left
			require.NoError(t, hosts[1].Kill(t.Context()))
			require.NoError(t, next.Kill(t.Context()))
			hosts = []*consumertest.Host{nil, w.add()}
			next = w.add()
		}
		hosts = []*consumertest.Host{hosts[1], next}
		w.rows(c, "select * from by_key")
		close(stop)
		inserting.Wait()
		require.NoError(t, failed)
		w.exact(c)
		tell()
	}
	last := w.rows(c, "select * from single")
	for !slices.Contains(told, last[0]) {
		tell()
	}
	w.run(follower, "commit")

	w.run(c, "drop materialized view by_key")
	w.fails(c, "42P01", "select * from by_key")
	w.fails(c, "0A000", "create materialized view no as select distinct k from t")
	w.run(c, "drop table t cascade")
}
