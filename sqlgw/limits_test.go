package sqlgw

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLimitsOfStatements: what the server says is a session's first value, and no session gets beyond it.
func TestLimitsOfStatements(t *testing.T) {
	g := engineGateway(t, 8, nil)
	open := func(l Limits) *session {
		require.NoError(t, l.Validate())
		g.cfg.Limits = l
		s := g.testSession()
		s.settings.limit(l)
		return s
	}
	due := func(s *session) time.Duration {
		ctx, done := s.withTimeout(t.Context())
		defer done()
		defer s.timedOver()
		if _, ok := ctx.Deadline(); !ok {
			return 0
		}
		d, _ := ctx.Deadline()
		return d.Sub(s.since)
	}

	s := open(Limits{})
	require.Zero(t, due(s))
	require.Zero(t, s.settings.maxRows())
	require.NoError(t, s.settings.set(settingMaxRows, "12", false))
	require.Equal(t, int64(12), s.settings.maxRows())
	require.ErrorContains(t, s.settings.set(settingMaxRows, "-1", false), "22023")
	require.ErrorContains(t, s.settings.set(settingMaxRows, "all", false), "22023")

	s = open(Limits{Rows: 100, Timeout: 1500 * time.Millisecond, MaxTimeout: time.Minute})
	require.Equal(t, 1500*time.Millisecond, due(s))
	require.Equal(t, "1500ms", s.settings.value("statement_timeout"))
	for said, holds := range map[string]time.Duration{"0": time.Minute, "1h": time.Minute, "10s": 10 * time.Second, "1min": time.Minute} {
		require.NoError(t, s.settings.set("statement_timeout", said, false))
		require.Equal(t, holds, due(s), said)
	}
	require.NoError(t, s.settings.reset("statement_timeout", false))
	require.Equal(t, 1500*time.Millisecond, due(s))
	require.Equal(t, int64(100), s.settings.maxRows())
	for _, over := range []string{"0", "101"} {
		require.ErrorContains(t, s.settings.set(settingMaxRows, over, false), "22023", over)
	}
	require.NoError(t, s.settings.set(settingMaxRows, "99", false))
	require.Equal(t, int64(99), s.settings.maxRows())

	s = open(Limits{Rows: 5})
	require.NoError(t, s.settings.start(map[string]string{settingMaxRows: "4"}), "a client may ask for less from the start")
	require.Equal(t, int64(4), s.settings.maxRows())

	require.Error(t, Limits{Timeout: 2, MaxTimeout: 1}.Validate())
	require.Error(t, Limits{Rows: -1}.Validate())
}
