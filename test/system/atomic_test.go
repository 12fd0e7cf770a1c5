package system_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

var atomicKills = flag.Int("atomic.kills", 8, "how often TestTransactionsSurviveKills kills a gateway or the brokers")

// transfers are transactions, and what their clients were told.
type transfers struct {
	mu    sync.Mutex
	next  int64
	acked map[int64]bool
	never map[int64]bool // it was said that they're rolled back
}

func (x *transfers) begin() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.next++
	return x.next
}

func (x *transfers) end(id int64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var said *pgconn.PgError
	switch {
	case err == nil:
		x.acked[id] = true
	case errors.As(err, &said) && said.Code != "40003" && said.Code[:2] != "57": // 57P01 and the like end connections
		x.never[id] = true
	}
}

// run transactions over two tables, each with two journals, until ctx is done: the last one to its end.
func (x *transfers) run(ctx context.Context, connect func(context.Context) (*pgx.Conn, error)) {
	for ctx.Err() == nil {
		conn, err := connect(ctx)
		for err == nil && ctx.Err() == nil && !conn.IsClosed() {
			id := x.begin()
			err = execute(conn, fmt.Sprintf("BEGIN; INSERT INTO debits VALUES (%[1]d, 0), (%[1]d, 1), (%[1]d, 2); INSERT INTO credits VALUES (%[1]d, 0), (%[1]d, 1), (%[1]d, 2); COMMIT", id))
			x.end(id, err)
			if _, ok := errors.AsType[*pgconn.PgError](err); ok {
				err = execute(conn, "ROLLBACK")
			}
		}
		if conn != nil {
			_ = conn.Close(context.Background())
		}
	}
}

// execute a statement, and wait for its outcome.
func execute(conn *pgx.Conn, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := conn.Exec(ctx, sql)
	return err
}

// check what is there now, when nobody commits.
func (x *transfers) check(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	var all [2][]int64
	for i, table := range []string{"debits", "credits"} {
		rows, err := conn.Query(t.Context(), "SELECT id FROM "+table+" ORDER BY id")
		require.NoError(t, err)
		all[i], err = pgx.CollectRows(rows, pgx.RowTo[int64])
		require.NoError(t, err)
	}
	require.Equal(t, all[0], all[1], "a transaction is there in part")
	have := map[int64]int{}
	for _, id := range all[0] {
		have[id]++
	}
	for id, n := range have {
		require.Equal(t, 3, n, "transaction %d", id)
		require.False(t, x.never[id], "transaction %d was rolled back", id)
	}
	for id := range x.acked {
		require.Contains(t, have, id, "transaction %d was acknowledged", id)
	}
}

// TestTransactionsSurviveKills kills gateways, and servers with their brokers, at random points of a load of transactions. Each
// transaction is there in all of its tables and journals or in none; those that were acknowledged are; those of which it was
// said that they're rolled back aren't.
func TestTransactionsSurviveKills(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, table := range []string{"debits", "credits"} {
		run(t, s, "CREATE TABLE "+table+" (id BIGINT, part BIGINT) WITH (transactional = true, journals = 2, partition_by = 'part', fragment_length = '64KiB')")
	}
	x := &transfers{acked: map[int64]bool{}, never: map[int64]bool{}}
	for i := range *atomicKills {
		ctx, cancel := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for range 3 {
			writers.Go(func() { x.run(ctx, s.Connect) })
		}
		// A number of transactions are acknowledged, and a moment of the next one goes by: an append or a few.
		goal, moment := rand.IntN(20), time.Duration(rand.IntN(5000))*time.Microsecond
		x.mu.Lock()
		goal += len(x.acked)
		x.mu.Unlock()
		require.Eventually(t, func() bool {
			x.mu.Lock()
			defer x.mu.Unlock()
			return len(x.acked) > goal
		}, time.Minute, time.Millisecond)
		<-time.After(moment)
		if i%4 == 3 {
			s.Kill()
		} else {
			pid, err := s.GatewayPID()
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
		cancel()
		writers.Wait()
		if i%4 == 3 {
			require.NoError(t, s.Restart(t.Context()))
		}
		conn, err := s.Connect(t.Context())
		require.NoError(t, err)
		x.check(t, conn)
		require.NoError(t, conn.Close(t.Context()))
	}
	t.Logf("%d transactions, %d acknowledged, %d rolled back", x.next, len(x.acked), len(x.never))
}

// TestTransactionsOfAnotherGateway: a gateway that lives finishes what one that was killed has committed.
func TestTransactionsOfAnotherGateway(t *testing.T) {
	s := start(t)
	for _, table := range []string{"debits", "credits"} {
		run(t, s, "CREATE TABLE "+table+" (id BIGINT, part BIGINT) WITH (transactional = true, journals = 2, partition_by = 'part')")
	}
	x := &transfers{acked: map[int64]bool{}, never: map[int64]bool{}}
	for range 3 {
		one, err := s.StartGateway(t.TempDir())
		require.NoError(t, err)
		conn, err := one.Connect(t.Context())
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for _, connect := range []func(context.Context) (*pgx.Conn, error){one.Connect, s.Connect, one.Connect} {
			writers.Go(func() { x.run(ctx, connect) })
		}
		goal := 5 + rand.IntN(20)
		require.Eventually(t, func() bool {
			x.mu.Lock()
			defer x.mu.Unlock()
			return len(x.acked) > goal
		}, time.Minute, time.Millisecond)
		one.Kill()
		cancel()
		writers.Wait()
		conn, err = s.Connect(t.Context())
		require.NoError(t, err)
		x.check(t, conn)
		require.NoError(t, conn.Close(t.Context()))
	}
}
