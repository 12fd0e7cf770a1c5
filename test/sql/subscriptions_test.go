package sql_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSubscriptionsAreTold: bs_catalog.subscriptions tells of a cursor how far it has come, and that it isn't fetched from; of others' only that
// there is one; and of none that is over.
func TestSubscriptionsAreTold(t *testing.T) {
	root := connect(t)
	exec(t, root, "CREATE ROLE follows_u LOGIN")
	t.Cleanup(func() { _, _ = root.Exec(context.Background(), "DROP ROLE follows_u") })
	name := table(t, root, "(id bigint) WITH (journals = 2)")
	exec(t, root, "INSERT INTO "+name+" SELECT * FROM generate_series(1, 10)")
	user, sub := as(t, "follows_u"), connect(t)
	exec(t, sub, "DECLARE c CURSOR WITH HOLD FOR SUBSCRIBE TO "+name)
	of := fmt.Sprint(" FROM bs_catalog.subscriptions WHERE pid = ", sub.PgConn().PID())
	told := "SELECT count(*), min(kind), count(DISTINCT since), bool_and(table_schema = 'public' AND table_name = '" + name + "'), sum(rows_sent), bool_and(lag = 0), bool_and(lag = head - \"offset\")" + of
	require.Equal(t, []string{"2|cursor|1|t|0|f|t"}, rows(t, root, told))

	for range 10 {
		require.Len(t, rows(t, sub, "FETCH 1 FROM c"), 1)
	}
	require.Equal(t, []string{"2|cursor|1|t|10|t|t"}, rows(t, root, told))
	require.Equal(t, []string{"t"}, rows(t, root, "SELECT bool_and(stalled_since IS NULL)"+of), "there is nothing to take")
	exec(t, root, "INSERT INTO "+name+" VALUES (11)")
	require.Equal(t, []string{"1|1"}, rows(t, root, "SELECT count(*) FILTER (WHERE lag > 0), count(stalled_since)"+of), "nobody fetches what there is")
	journal := rows(t, root, "SELECT min(journal)"+of)[0]
	require.Equal(t, []string{journal}, rows(t, root, "SELECT journal"+of+" AND journal = '"+journal+"'"))

	require.Equal(t, []string{"1|cursor|t|0|0"}, rows(t, user, "SELECT count(*), min(kind), bool_and(since < now()), count(journal), count(table_name)"+of))
	exec(t, root, "GRANT SELECT ON "+name+" TO follows_u")
	exec(t, user, "DECLARE c CURSOR WITH HOLD FOR SUBSCRIBE TO "+name)
	require.Equal(t, []string{"2"}, rows(t, user, "SELECT count(journal) FROM bs_catalog.subscriptions WHERE usename = current_user"), "one's own")
	exec(t, user, "CLOSE c")
	exec(t, sub, "CLOSE c")
	require.Equal(t, []string{"0"}, rows(t, root, "SELECT count(*) FROM bs_catalog.subscriptions WHERE table_name = '"+name+"'"))
}

// TestSubscriptionByCopyIsTold: a COPY (SUBSCRIBE ...) and a plain SUBSCRIBE count what they send.
func TestSubscriptionByCopyIsTold(t *testing.T) {
	root := connect(t)
	name := table(t, root, "(id bigint)")
	exec(t, root, "INSERT INTO "+name+" VALUES (1), (2), (3)")
	for kind, statement := range map[string]string{"COPY": "COPY (SUBSCRIBE TO " + name + ") TO STDOUT", "SUBSCRIBE": "SUBSCRIBE TO " + name} {
		sub := connect(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if kind == "COPY" {
				_, _ = sub.PgConn().CopyTo(ctx, io.Discard, statement)
				return
			}
			_, _ = sub.PgConn().Exec(ctx, statement).ReadAll()
		}()
		of := " FROM bs_catalog.subscriptions WHERE table_name = '" + name + "'"
		require.Eventually(t, func() bool {
			said := rows(t, root, "SELECT kind, rows_sent, lag, stalled_since IS NULL"+of)
			return len(said) == 1 && said[0] == kind+"|3|0|t"
		}, time.Minute, 20*time.Millisecond)
		cancel()
		<-ended
		require.Eventually(t, func() bool { return len(rows(t, root, "SELECT kind"+of)) == 0 }, time.Minute, 20*time.Millisecond)
	}
}

// TestBrokersAreAskedForFewer: a condition on the journal leaves the answer as it is, and brokers are asked for no other journal.
func TestBrokersAreAskedForFewer(t *testing.T) {
	const journals = 24
	root := connect(t)
	name := table(t, root, fmt.Sprintf("(id bigint) WITH (journals = %d)", journals))
	exec(t, root, "INSERT INTO "+name+" SELECT * FROM generate_series(1, 100)")
	all := rows(t, root, "SELECT journal FROM bs_catalog.journals WHERE table_name = '"+name+"' ORDER BY 1")
	require.Len(t, all, journals)
	one, prefix := all[7], all[7][:len(all[7])-1]
	for _, relation := range []string{"journals", "assignments", "fragments", "lag"} {
		for condition, known := range map[string]string{
			"journal = '" + one + "'":                                                                    "journal || '' = '" + one + "'",
			"journal IN ('" + one + "', '" + all[3] + "', 'none')":                                       "journal || '' IN ('" + one + "', '" + all[3] + "')",
			"journal LIKE '" + prefix + "%'":                                                             "starts_with(journal, '" + prefix + "')",
			"journal LIKE '" + prefix + "%' AND journal <> '" + one + "'":                                "starts_with(journal, '" + prefix + "') AND journal <> '" + one + "'",
			"journal = '" + one + "' OR journal = '" + all[0] + "'":                                      "journal || '' IN ('" + one + "', '" + all[0] + "')",
			"journal = (SELECT max(journal) FROM bs_catalog.journals WHERE table_name = '" + name + "')": "journal || '' = '" + all[journals-1] + "'",
		} {
			columns := "SELECT table_name, journal FROM bs_catalog." + relation + " WHERE table_name = '" + name + "' AND "
			require.Equal(t, rows(t, root, columns+known+" ORDER BY 2"), rows(t, root, columns+condition+" ORDER BY 2"), "%s: %s", relation, condition)
		}
	}
	var head int64
	require.NoError(t, root.QueryRow(t.Context(), "SELECT head FROM bs_catalog.lag WHERE journal = $1", one).Scan(&head))

	before := fragmentCalls(t)
	rows(t, root, "SELECT * FROM bs_catalog.fragments WHERE journal = '"+one+"'")
	few := fragmentCalls(t) - before
	require.Positive(t, few)
	before = fragmentCalls(t)
	rows(t, root, "SELECT * FROM bs_catalog.fragments")
	many := fragmentCalls(t) - before
	require.GreaterOrEqual(t, many, journals)
	require.Less(t, few, journals, "other things that the server does may ask, too")
}

// fragmentCalls are how often the server's broker was asked for fragments.
func fragmentCalls(t *testing.T) int {
	t.Helper()
	resp, err := http.Get("http://" + server.Broker + "/debug/metrics")
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	m := regexp.MustCompile(`(?m)^grpc_server_started_total\{[^}]*grpc_method="ListFragments"[^}]*\} (\d+)$`).FindSubmatch(b)
	require.NotNil(t, m, "%s", b)
	n, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	return n
}
