package system_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/certs/certstest"
)

// TestAuthentication of a server that has rules, a certificate and a first password: over restarts, and with roles
// that were made with SQL.
func TestAuthentication(t *testing.T) {
	ca := certstest.New(t, "ca")
	files := ca.Issue("server", certs.Files{})
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	rules := write("hba", "host postgres nobody all trust\nhostssl postgres card all cert\nhostssl postgres all all scram-sha-256\n")
	password := write("password", "first one\n")
	s := start(t, "--sql-hba", rules, "--sql-password-file", password, "--sql-tls-cert", files.Cert, "--sql-tls-key", files.Key, "--sql-tls-client-ca", ca.File)
	connect := func(user, password, options string) (*pgx.Conn, error) {
		host, port, err := net.SplitHostPort(s.SQL)
		require.NoError(t, err)
		cfg, err := pgx.ParseConfig("host=" + host + " port=" + port + " dbname=postgres user=" + user + " " + options)
		require.NoError(t, err)
		cfg.Password = password
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close(context.Background()) })
		}
		return conn, err
	}
	secure := "sslmode=verify-full channel_binding=require sslrootcert=" + ca.File
	root, err := connect("postgres", "first one", secure)
	require.NoError(t, err)
	_, err = root.Exec(t.Context(), "CREATE USER alice PASSWORD 'hers'")
	require.NoError(t, err)
	_, err = root.Exec(t.Context(), "CREATE USER card")
	require.NoError(t, err)
	_, err = root.Exec(t.Context(), "CREATE ROLE group_only PASSWORD 'x'")
	require.NoError(t, err)
	_, err = root.Exec(t.Context(), "ALTER ROLE postgres PASSWORD 'second one'")
	require.NoError(t, err)
	own := ca.Issue("card", certs.Files{})
	check := func() {
		for _, c := range []struct{ user, password, options, want string }{
			{"alice", "hers", secure, ""},
			{"alice", "his", secure, "28P01"},
			{"mallory", "hers", secure, "28P01"},
			{"group_only", "x", secure, "28P01"},
			{"postgres", "first one", secure, "28P01"},
			{"postgres", "second one", secure, ""},
			{"card", "", "sslmode=require sslcert=" + own.Cert + " sslkey=" + own.Key, ""},
			{"card", "", "sslmode=require", "connection requires a valid client certificate"},
			{"nobody", "", "sslmode=disable", `role "nobody" does not exist`},
			{"alice", "hers", "sslmode=disable", `no pg_hba.conf entry for host "127.0.0.1", user "alice", database "postgres", no encryption`},
		} {
			conn, err := connect(c.user, c.password, c.options)
			if c.want != "" {
				require.ErrorContains(t, err, c.want, c.user)
				continue
			}
			require.NoError(t, err, c.user)
			require.NoError(t, conn.Ping(t.Context()))
			require.Equal(t, c.user, conn.PgConn().ParameterStatus("session_authorization"))
			require.Equal(t, map[bool]string{true: "on", false: "off"}[c.user == "postgres"], conn.PgConn().ParameterStatus("is_superuser"))
		}
	}
	check()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	require.NoError(t, root.Close(ctx))
	require.NoError(t, s.Stop(ctx))
	require.NoError(t, os.Remove(password)) // has the first one only, which isn't needed any more
	require.NoError(t, s.Restart(ctx))
	check()
	require.NotContains(t, s.Log(), "SCRAM-SHA-256$")
	require.NotContains(t, s.Log(), "second one")
}
