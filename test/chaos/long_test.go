//go:build chaos

package chaos

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

var kills = flag.Int("chaos.kills", 200, "brokers that are killed in the long form")

// TestChaosLong is what `make chaos` runs: half of the kills with either kind of store and of acknowledgement.
func TestChaosLong(t *testing.T) {
	require.Positive(t, *kills)
	long := Config{Kills: (*kills + 1) / 2, EtcdMembers: 3, Pace: 10 * time.Millisecond, AwaitStored: true}
	t.Run("directory, replicated", func(t *testing.T) {
		cfg := long
		cfg.Ack = "replicated"
		chaos(t, cfg)
	})
	t.Run("S3, synced", func(t *testing.T) {
		cfg := long
		cfg.Ack, cfg.Versitygw = "synced", testenv.Tool(t, "versitygw")
		chaos(t, cfg)
	})
}
