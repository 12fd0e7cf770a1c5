package system_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// keptViews are those of the test, each with its query.
var keptViews = map[string]string{
	"per_bike": "SELECT bike, count(*) AS rides, sum(metres) AS metres, avg(metres) AS mean, min(metres) AS least, max(metres) AS most" +
		" FROM rides GROUP BY bike HAVING count(*) > 1",
	"long_rides": "SELECT id, upper(bike) AS bike, metres / 1000.0 AS km FROM rides WHERE metres > 500",
	"all_rides":  "SELECT count(*) AS rides, sum(metres) AS metres FROM rides",
}

// viewsFleet is a fleet with gateways that keep views, and how many rides were told to be there.
type viewsFleet struct {
	*fleet

	gateways []*member
	rand     *rand.Rand
	rides    int
}

// ride inserts rides by a gateway, some of them in transactions that are rolled back.
func (f *viewsFleet) ride(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for range 3 {
		n := 1 + f.rand.IntN(200)
		rows := make([]string, n)
		for i := range rows {
			rows[i] = fmt.Sprintf("(%d, 'bike %d', %d)", f.rides+i, f.rand.IntN(40), f.rand.IntN(1000))
		}
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "INSERT INTO rides VALUES "+strings.Join(rows, ","))
		require.NoError(t, err)
		if f.rand.IntN(4) == 0 {
			require.NoError(t, tx.Rollback(t.Context()))
			continue
		}
		require.NoError(t, tx.Commit(t.Context()))
		f.rides += n
	}
}

// exact requires that each view has just what its query has, by a gateway.
func (f *viewsFleet) exact(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fleetPatience)
	defer cancel()
	for name := range keptViews {
		rows, err := conn.Query(ctx, "VERIFY MATERIALIZED VIEW "+name)
		require.NoError(t, err, name)
		wrong, err := pgx.CollectRows(rows, pgx.RowToMap)
		require.NoError(t, err, name)
		require.Empty(t, wrong, name)
	}
	var rides, table int
	require.NoError(t, conn.QueryRow(ctx, "SELECT v.rides, (SELECT count(*) FROM rides) FROM all_rides v").Scan(&rides, &table))
	require.Equal(t, f.rides, rides)
	require.Equal(t, f.rides, table)
}

// TestMaterializedViewsOfAFleet: views of a transactional table are exact, by any gateway, while gateways that keep them are killed in turn, with a
// standby and without one, and then all processes of the fleet at once.
func TestMaterializedViewsOfAFleet(t *testing.T) {
	f := &viewsFleet{fleet: newFleet(t), rand: rand.New(rand.NewPCG(7, 7))}
	t.Setenv("BROADSHEET_VIEWS_AUTH_KEYS", "YW5vdGhlciBzZWNyZXQgb2YgdGhlc2UgdGVzdHM=")
	for i := range 2 {
		f.gateways = append(f.gateways, f.gateway(t, i, "--data-dir", t.TempDir(), "--views.listen", "127.0.0.1:0", "--views.lease", "2s", "--grace", "0s"))
	}
	conn := f.gateways[0].connect(t)
	_, err := conn.Exec(t.Context(), "CREATE TABLE rides (id BIGINT, bike TEXT, metres BIGINT) WITH (transactional, journals = 3, fragment_length = '4kB', refresh_interval = '1 second')")
	require.NoError(t, err)
	f.ride(t, conn) // before the views are there
	for name, query := range keptViews {
		standbys := ""
		if name == "long_rides" {
			standbys = " WITH (standbys = 0)"
		}
		_, err := conn.Exec(t.Context(), "CREATE MATERIALIZED VIEW "+name+standbys+" AS "+query)
		require.NoError(t, err, name)
	}
	f.exact(t, conn)
	for round := range 2 {
		dies, stays := f.gateways[round%2], f.gateways[1-round%2]
		conn := stays.connect(t)
		f.ride(t, conn)
		dies.kill()
		f.exact(t, conn)
		f.ride(t, conn)
		dies.start(t)
		f.exact(t, dies.connect(t))
	}
	for _, m := range append(f.brokers, f.gateways...) {
		m.kill()
	}
	f.restart(t)
	conn = f.gateways[1].connect(t)
	f.exact(t, conn)
	f.ride(t, conn)
	f.exact(t, f.gateways[0].connect(t))
}

// restart what was killed. Gateways are told where a broker is now.
func (f *viewsFleet) restart(t *testing.T) {
	t.Helper()
	for _, m := range f.brokers {
		m.start(t)
	}
	for i, m := range f.gateways {
		for k, arg := range m.args {
			if arg == "--broker.address" {
				m.args[k+1] = "http://" + f.brokers[i].said["broker"]
			}
		}
		m.start(t)
	}
	until(t, "views are kept again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var n int
		err := f.gateways[0].connect(t).QueryRow(ctx, "SELECT count(*) FROM bs_catalog.materialized_views WHERE status = 'kept'").Scan(&n)
		return err == nil && n == len(keptViews)
	})
}
