package clients_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// postgres starts a PostgreSQL 15, with the fixture and one door that trusts.
func postgres(t *testing.T) *server {
	t.Helper()
	address := system.Postgres(t)
	at, err := url.Parse(address)
	require.NoError(t, err)
	port := at.Port()
	s := &server{admin: connect(t, address)}
	fixture(t, s.admin)
	for _, statement := range []string{
		"CREATE SCHEMA bs_catalog", "CREATE VIEW bs_catalog.sessions AS SELECT * FROM pg_stat_activity",
		"GRANT USAGE ON SCHEMA bs_catalog TO public", "GRANT SELECT ON bs_catalog.sessions TO public",
	} {
		_, err := s.admin.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	s.doors = []door{{"trusted", map[string]string{"PGHOST": "127.0.0.1", "PGPORT": port, "PGDATABASE": "postgres", "PGUSER": trusted, "PGSSLMODE": "disable"}}}
	return s
}
