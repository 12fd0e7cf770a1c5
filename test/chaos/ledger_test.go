package chaos

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/message"
)

func runLedger(t *testing.T, cfg LedgerConfig) {
	t.Helper()
	cfg.Config = laidOut(t, cfg.Config)
	program, err := os.Executable()
	require.NoError(t, err)
	cfg.Program = program
	report, err := RunLedger(t.Context(), cfg)
	if report != nil {
		t.Logf("seed %d\n%s", cfg.Seed, report)
	}
	if err != nil || len(report.Violations) > 0 {
		if report != nil {
			for _, f := range report.Done {
				t.Log(f)
			}
		}
		require.NoError(t, err)
		t.FailNow()
	}
	if *keep == "" {
		require.NoError(t, os.RemoveAll(cfg.Dir))
	}
	require.GreaterOrEqual(t, report.Published, int64(cfg.Messages))
	require.Equal(t, report.Published, report.Receipts)
	require.Positive(t, report.Stats)
	require.GreaterOrEqual(t, report.HandOffs, cfg.Shards+cfg.Kills/10)
}

// TestLedgerShort: few kills and few deposits, in every run of the tests.
func TestLedgerShort(t *testing.T) {
	runLedger(t, LedgerConfig{
		Config: Config{Kills: 3, EtcdMembers: 1, Ack: "replicated", Pace: 5 * time.Millisecond, Writers: 3},
		Hosts:  3, Shards: 2, Messages: 5000, Batch: 20,
	})
}

// op of a recovery log, with what it writes.
func logged(t *testing.T, author uint32, content string) []byte {
	t.Helper()
	op := &recoverylog.RecordedOp{Author: author}
	if content != "" {
		op.Write = &recoverylog.RecordedOp_Write{Length: int64(len(content))}
	}
	b, err := proto.Marshal(op)
	require.NoError(t, err)
	framing, err := message.FramingOf(message.ProtobufFixed)
	require.NoError(t, err)
	b, err = framing.AppendFrame(nil, b)
	require.NoError(t, err)
	return append(b, content...)
}

// TestLedgerChecks: each of the checks finds what it is for.
func TestLedgerChecks(t *testing.T) {
	key := ledgerKey{"a/journal", 1}
	require.Empty(t, checkReceipt(key, 8, 7))
	require.Contains(t, checkReceipt(key, 7, 7), "another receipt")
	require.Contains(t, checkReceipt(key, 3, 7), "another receipt")
	require.Contains(t, checkReceipt(key, 9, 7), "from 8 until 9")

	books := map[ledgerKey]int64{key: 7}
	require.Empty(t, compare("", map[ledgerKey]int64{key: 7}, books))
	require.Len(t, compare("", map[ledgerKey]int64{key: 6}, books), 1)
	require.Len(t, compare("", nil, books), 1)
	require.Len(t, compare("", map[ledgerKey]int64{key: 7, {"a/journal", 2}: 1}, books), 1)

	state := map[string]int64{"last/a/journal/1": 7, "balance/3": -2}
	require.Empty(t, checkState("", state, state))
	require.Len(t, checkState("", map[string]int64{"last/a/journal/1": 7, "balance/3": 2}, state), 1)
	require.Len(t, checkState("", map[string]int64{"last/a/journal/1": 7}, state), 1)
	require.Len(t, checkState("", map[string]int64{"last/a/journal/1": 7, "balance/3": -2, "balance/4": 1}, state), 1)
	require.Len(t, checkState("", map[string]int64{"last/a/journal/1": 7, "balance/3": -2, "wrong/a/journal/1/5": 6}, state), 1)

	var p progress
	last := make(map[string]int64)
	p.told("a", map[string]int64{"a/journal": 7}, last)
	p.told("a", map[string]int64{"a/journal": 7, "b/journal": 1}, last)
	require.Empty(t, p.wrong)
	p.told("a", map[string]int64{"a/journal": 8, "b/journal": 0}, last)
	require.Len(t, p.wrong, 1)

	log := func(authors ...uint32) []byte {
		var out []byte
		for i, a := range authors {
			out = append(out, logged(t, a, string(make([]byte, 10*i)))...)
		}
		return out
	}
	n, wrong := checkAuthors("a", log(1, 1, 2, 2, 3))
	require.Equal(t, 3, n)
	require.Empty(t, wrong)
	_, wrong = checkAuthors("a", log(1, 2, 1))
	require.Len(t, wrong, 1)
	broken := log(1, 2)
	binary.LittleEndian.PutUint32(broken, 7)
	_, wrong = checkAuthors("a", broken)
	require.Len(t, wrong, 1)
}
