package embedetcd

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newZapLogger returns a logger for etcd that hands its warnings and errors to l,
// until closing is true: then etcd complains of the very sockets that we close.
// What etcd calls fatal becomes a panic: during Start it is caught and returned,
// later it ends the process as etcd means it to.
func newZapLogger(l *slog.Logger, closing *atomic.Bool) *zap.Logger {
	return zap.New(&slogCore{logger: l, closing: closing}, zap.WithFatalHook(zapcore.WriteThenPanic))
}

// slogCore is a zapcore.Core that writes to a slog.Logger.
type slogCore struct {
	logger  *slog.Logger
	closing *atomic.Bool
	fields  []zapcore.Field
}

// routine are the warnings that etcd gives at each start of a lone embedded
// member, or at the first: parts of their texts. They tell an operator nothing.
var routine = []string{
	"Running http and grpc server on single port. This is not recommended for production.",
	"simple token is not cryptographically signed",
	"serving client traffic insecurely; this is strongly discouraged!",
	"Failed to detect schema version",
	"failed to update storage version",
	"since there are still pending configuration changes to apply", // it campaigns again
}

// Enabled is part of zapcore.Core: what etcd calls panic and fatal always is.
func (c *slogCore) Enabled(l zapcore.Level) bool {
	return l > zapcore.ErrorLevel || l >= zapcore.WarnLevel && !c.closing.Load()
}

// With is part of zapcore.Core.
func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{logger: c.logger, closing: c.closing, fields: slices.Concat(c.fields, fields)}
}

// Check is part of zapcore.Core.
func (c *slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	isRoutine := func(text string) bool { return strings.Contains(e.Message, text) }
	if c.Enabled(e.Level) && (e.Level > zapcore.ErrorLevel || !slices.ContainsFunc(routine, isRoutine)) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write is part of zapcore.Core. Fields become attributes with their keys in snake case.
func (c *slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelError
	if e.Level == zapcore.WarnLevel {
		level = slog.LevelWarn
	}
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(enc)
	}
	attrs := []slog.Attr{slog.String("message", e.Message)}
	for _, k := range slices.Sorted(maps.Keys(enc.Fields)) {
		attrs = append(attrs, slog.Any(strings.ReplaceAll(k, "-", "_"), enc.Fields[k]))
	}
	c.logger.LogAttrs(context.Background(), level, "etcd", attrs...)
	return nil
}

// Sync is part of zapcore.Core; slog has nothing to flush.
func (c *slogCore) Sync() error { return nil }
