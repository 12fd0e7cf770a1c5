package embedetcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newZapLogger returns a logger for etcd that hands its warnings and errors to l,
// until closing is true: then etcd complains of the very sockets that we close.
func newZapLogger(l *slog.Logger, closing *atomic.Bool, fatal func(error)) *zap.Logger {
	return zap.New(&slogCore{logger: l, closing: closing}, zap.WithFatalHook(fatalHook(fatal)))
}

// fatalHook gets what etcd calls fatal: it can't go on, and holds what others wait for. It becomes a panic, which
// open catches and returns if it is of its own goroutine; elsewhere it is told first, to who ends the process in a
// better way.
type fatalHook func(error)

// OnWrite is part of zapcore.CheckWriteHook.
func (h fatalHook) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := errors.New(e.Message)
	for _, f := range fields {
		if reason, ok := f.Interface.(error); ok {
			err = fmt.Errorf("%s: %w", e.Message, reason)
		}
	}
	if h != nil && !withinOpen() {
		h(err)
	}
	panic(err)
}

// withinOpen tells whether the caller was called by open, whose goroutine catches panics.
func withinOpen() bool {
	callers := make([]uintptr, 128)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "embedetcd.(*Server).open") {
			return true
		}
		if !more {
			return false
		}
	}
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
