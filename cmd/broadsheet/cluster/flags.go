package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/internal/speech"
)

// Flags of all commands of a group.
type Flags struct {
	// Brokers, and who asks them.
	Brokers flags.Brokers
	// StoresFile says which stores there are; it is a flag of commands that have StoresFlag.
	StoresFile string

	logLevel, logFormat string
}

// Add the flags.
func (f *Flags) Add(p *pflag.FlagSet) {
	p.StringVar(&f.Brokers.Zone, "zone", "local", "availability zone of this process; with a cache, brokers in it are asked first")
	p.StringVar(&f.logLevel, "log.level", "warn", "least level that is logged: debug, info, warn, error")
	p.StringVar(&f.logFormat, "log.format", "text", "format of the log: text, json")
	f.Brokers.Add(p, "http://localhost:8080")
	f.Brokers.AddRouting(p)
}

// Session is what a command works with.
type Session struct {
	*Flags

	// Client of the brokers.
	Client *client.Client
	// Log to standard error.
	Log *slog.Logger
	// Out is standard output.
	Out io.Writer
}

// Run calls fn with a session, and closes it.
func (f *Flags) Run(cmd *cobra.Command, fn func(context.Context, *Session) error) error {
	log, err := f.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	cfg, err := f.Brokers.Config(log)
	if err != nil {
		return err
	}
	brokers, err := client.Dial(cmd.Context(), cfg)
	if err != nil {
		return speech.WithHint(err, "say where a broker is with --broker.address")
	}
	err = fn(cmd.Context(), &Session{Flags: f, Client: brokers, Log: log, Out: cmd.OutOrStdout()})
	return f.advise(errors.Join(err, brokers.Close()))
}

func (f *Flags) logger(w io.Writer) (*slog.Logger, error) {
	levels := map[string]slog.Level{
		"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "warning": slog.LevelWarn,
		"error": slog.LevelError, "fatal": slog.LevelError, "panic": slog.LevelError,
	}
	level, ok := levels[strings.ToLower(f.logLevel)]
	if !ok {
		return nil, speech.WithHint(fmt.Errorf("--log.level: unknown level %q", f.logLevel), "levels are debug, info, warn and error")
	}
	opts := &slog.HandlerOptions{Level: level}
	switch f.logFormat {
	case "text", "color": // Gazette's default, which has no colours but on a terminal
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, speech.WithHint(fmt.Errorf("--log.format: unknown format %q", f.logFormat), "formats are text and json")
}
