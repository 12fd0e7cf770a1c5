package sql_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatBrokersHold is told by bs_catalog, of tables that the session may read.
func TestWhatBrokersHold(t *testing.T) {
	root := connect(t)
	exec(t, root, "CREATE ROLE holds_u LOGIN")
	t.Cleanup(func() { _, _ = root.Exec(context.Background(), "DROP ROLE holds_u") })
	name := table(t, root, "(id bigint) WITH (journals = 2)")
	exec(t, root, "INSERT INTO "+name+" VALUES (1), (2), (3)")
	of := " WHERE table_name = '" + name + "'"
	user := as(t, "holds_u")
	require.Equal(t, []string{"public|postgres|2|t"}, rows(t, root, "SELECT table_schema, owner, journals, owned FROM bs_catalog.tables"+of))
	require.Equal(t, rows(t, root, "SELECT * FROM bs_catalog.tables"+of), rows(t, user, "SELECT * FROM bs_catalog.tables"+of))
	queries := map[string][]string{
		"SELECT count(DISTINCT journal), count(*), bool_and(is_primary), min(replication) FROM bs_catalog.assignments" + of: {"2|2|t|1"},
		"SELECT sum(head) > 0, min(lag) >= 0, bool_and(lag = head - stored) FROM bs_catalog.lag" + of:                       {"t|t|t"},
		"SELECT bool_and(\"end\" >= \"begin\"), min(codec) IS NOT NULL FROM bs_catalog.fragments" + of:                      {"t|t"},
	}
	for sql, want := range queries {
		require.Equal(t, want, rows(t, root, sql), sql)
	}
	require.Equal(t, []string{"t|t"}, rows(t, root, "SELECT bool_and(journals > 0), bool_and(primaries <= journals) FROM bs_catalog.brokers"))
	require.Equal(t, []string{"0"}, rows(t, root, "SELECT count(*) FROM bs_catalog.shards"))
	for _, relation := range []string{"assignments", "lag", "fragments"} {
		require.Empty(t, rows(t, user, "SELECT journal FROM bs_catalog."+relation+of), relation)
	}
	exec(t, root, "GRANT SELECT ON "+name+" TO holds_u")
	require.Len(t, rows(t, user, "SELECT journal FROM bs_catalog.lag"+of), 2)
}
