package broker

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestRate: a second's worth at once, then as the rate says; what isn't used is banked for ten seconds.
func TestRate(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var r rate
	require.Zero(t, r.take(now, 0, 1<<40), "no bound")
	require.Zero(t, r.take(now, 1000, 1000))
	require.Equal(t, 500*time.Millisecond, r.take(now, 1000, 500))
	require.Equal(t, time.Second, r.take(now, 1000, 500), "behind who waits")
	now = now.Add(time.Hour)
	require.Zero(t, r.take(now, 1000, 10_000))
	require.Equal(t, time.Second, r.take(now, 1000, 1000))
	require.Equal(t, 2*time.Second, r.take(now, 500, 0), "the debt stays if the rate changes")
}

// TestRateGivenBack: who goes away leaves no debt to those who come then.
func TestRateGivenBack(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var r rate
	require.Zero(t, r.take(now, 1, 1))
	require.Equal(t, 1_000_000*time.Second, r.take(now, 1, 1_000_000))
	now = now.Add(5 * time.Second)
	r.giveBack(1_000_000)
	require.Equal(t, time.Second, r.take(now, 1, 6))
	r.giveBack(1 << 40)
	require.Equal(t, 10*time.Second, r.take(now, 1, 20), "no more is banked than ever")
}

// TestRateRandom: in no span of time is more taken than its rate allows and ten seconds of it more.
func TestRateRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		var r rate
		const perSec = 1000
		began, used := now, int64(0)
		for range rapid.IntRange(1, 50).Draw(t, "takes") {
			n := rapid.Int64Range(0, 5000).Draw(t, "bytes")
			now = now.Add(r.take(now, perSec, n))
			used += n
			require.LessOrEqual(t, float64(used), perSec*(1+now.Sub(began).Seconds())+1)
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "pause")))
		}
	})
}

// TestAppendRate: the broker's bound lowers that of a journal, and gives none to one without.
func TestAppendRate(t *testing.T) {
	for _, c := range [][3]int64{{0, 0, 0}, {0, 5, 5}, {3, 5, 3}, {5, 3, 3}, {3, 0, 0}} {
		require.Equal(t, c[2], Config{MaxAppendRate: c[0]}.appendRate(c[1]))
	}
}

// TestPace: a second's grace, then as fast as the rate on the whole.
func TestPace(t *testing.T) {
	var p pace
	require.NoError(t, p.received(0, time.Second, 1000))
	require.NoError(t, p.received(1000, time.Second, 1000))
	require.NoError(t, p.received(5000, time.Second, 1000))
	require.NoError(t, p.received(1, 4*time.Second, 1000), "it was ahead")
	require.ErrorIs(t, p.received(1, time.Second, 1000), errSlow)
	require.NoError(t, new(pace).received(1, time.Hour, 0), "no bound")
}

// TestWhoGoesAwayHoldsUpNobody: an append that ends while it waits for its rate takes nothing of it.
func TestWhoGoesAwayHoldsUpNobody(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	r := &replica{env: &replicaEnv{now: func() time.Time { return now }}, closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	waited, err := r.throttle(ctx, 1, 1_000_000)
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, waited)
	waited, err = r.throttle(t.Context(), 1, 1)
	require.NoError(t, err)
	require.False(t, waited)
}
