package embedetcd

import (
	"io/fs"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// TestWhatEtcdCallsFatalIsTold: with its reason, before it becomes a panic; but not while etcd is opened, whose panics are
// caught.
func TestWhatEtcdCallsFatalIsTold(t *testing.T) {
	var told []error
	logger := newZapLogger(slog.New(slog.DiscardHandler), new(atomic.Bool), func(err error) { told = append(told, err) })
	full := &fs.PathError{Op: "write", Path: "member/snap/db", Err: syscall.ENOSPC}
	require.Panics(t, func() { logger.Fatal("failed to commit tx", zap.Int("n", 1), zap.Error(full)) })
	require.Len(t, told, 1)
	require.EqualError(t, told[0], "failed to commit tx: write member/snap/db: no space left on device")
	require.ErrorIs(t, told[0], syscall.ENOSPC)

	// What etcd calls as it is opened: a builder of its logger, which stands for what goes wrong then.
	c := embed.NewConfig()
	c.Dir = t.TempDir()
	c.ZapLoggerBuilder = func(*embed.Config) error {
		logger.Fatal("bad data", zap.Error(full))
		return nil
	}
	err := new(Server).open(c)
	require.ErrorContains(t, err, "etcd can't open its data: bad data: write member/snap/db: no space left on device")
	require.Len(t, told, 1)

	nobody := newZapLogger(slog.New(slog.DiscardHandler), new(atomic.Bool), nil)
	require.PanicsWithError(t, "gone", func() { nobody.Check(zapcore.FatalLevel, "gone").Write() })
}
