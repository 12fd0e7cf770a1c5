package roles_test

import (
	"bytes"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/roles"
)

// command takes the flags of a member of a fleet.
func command(e *roles.Etcd, l *roles.Log) *cobra.Command {
	cmd := &cobra.Command{Use: "program", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return e.ValidateMember() }}
	e.AddMember(cmd.Flags(), roles.Member{Kind: "consumer", Has: "shards", Prefix: "/p"})
	l.Add(cmd.Flags())
	roles.BindEnv(cmd, roles.MemberVariables)
	return cmd
}

// TestVariables: a flag that is given counts, then our variable, then Gazette's; a value that isn't one names its variable.
func TestVariables(t *testing.T) {
	var e roles.Etcd
	var l roles.Log
	t.Setenv("ETCD_PREFIX", "/gazette")
	t.Setenv("ETCD_LEASE_TTL", "9s")
	t.Setenv("LOG_LEVEL", "debug")
	t.Setenv("BROADSHEET_LOG_LEVEL", "error")
	cmd := command(&e, &l)
	cmd.SetArgs([]string{"--etcd.prefix", "/mine"})
	require.NoError(t, cmd.Execute())
	require.Equal(t, "/mine", e.Prefix)
	require.Equal(t, "9s", e.Lease.String())
	require.Equal(t, "error", l.Level)

	t.Setenv("ETCD_LEASE", "soon")
	cmd = command(&e, &l)
	cmd.SetArgs(nil)
	require.ErrorContains(t, cmd.Execute(), `ETCD_LEASE="soon": `)

	t.Setenv("ETCD_LEASE", "1500ms")
	cmd = command(&e, &l)
	cmd.SetArgs(nil)
	require.EqualError(t, cmd.Execute(), "--etcd.lease: 1.5s isn't a number of whole seconds")
}

// TestLog: levels are ours and those that Gazette has more; what isn't one is refused by name.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	log, err := (&roles.Log{Level: "Fatal", Format: "json"}).Logger(&out)
	require.NoError(t, err)
	log.Warn("isn't written")
	log.Error("is written")
	require.Contains(t, out.String(), `"msg":"is written"`)
	require.NotContains(t, out.String(), "isn't")
	_, err = (&roles.Log{Level: "loud", Format: "text"}).Logger(&out)
	require.EqualError(t, err, `unknown log level "loud"`)
	_, err = (&roles.Log{Level: "info", Format: "xml"}).Logger(&out)
	require.EqualError(t, err, `unknown log format "xml"`)
}
