//go:build chaos

package chaos

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

var (
	kills          = flag.Int("chaos.kills", 200, "brokers that are killed in the long form")
	ledgerKills    = flag.Int("chaos.ledger-kills", 300, "brokers and hosts that are killed while the ledger runs")
	ledgerMessages = flag.Int("chaos.ledger-messages", 1_000_000, "deposits that are published meanwhile")
)

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

// TestLedgerLong is the other part of `make chaos`: each of a million deposits has its effects once.
func TestLedgerLong(t *testing.T) {
	require.Positive(t, *ledgerKills)
	runLedger(t, LedgerConfig{
		Config: Config{
			Kills: *ledgerKills, EtcdMembers: 3, Ack: "replicated", Pace: 10 * time.Millisecond, Writers: 4, Versitygw: testenv.Tool(t, "versitygw"),
		},
		Hosts: 3, Shards: 4, Messages: *ledgerMessages, Batch: 40,
	})
}
