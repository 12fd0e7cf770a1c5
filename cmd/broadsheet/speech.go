package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/cmd/broadsheet/settings"
	"broadsheet.dev/broadsheet/cmd/broadsheet/speech"
)

// How this program talks:
//
//   - Results go to standard output, everything else to standard error.
//   - An error is one line, "broadsheet: what, where"; what to do about it is a second
//     line, "hint: ...".
//   - Every flag --a-b.c has a variable BROADSHEET_A_B_C; the flag wins. Those of brokers
//     have Gazette's too, A_B_C.

func withHint(err error, hint string) error { return speech.WithHint(err, hint) }

// ourVariable is the variable of a flag.
func ourVariable(flag string) []string { return []string{settings.EnvName(flag)} }

// brokerVariables are those of a flag of brokers: ours, and Gazette's.
func brokerVariables(flag string) []string {
	if flag == "etcd.lease" {
		return append(settings.Variables(flag), "ETCD_LEASE_TTL")
	}
	return settings.Variables(flag)
}

// bindEnv makes a command take flags that weren't given from the environment, and tells
// of the variables in its help. The first variable that is set counts.
func bindEnv(cmd *cobra.Command, variables func(flag string) []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			f.Usage += " [$" + strings.Join(variables(f.Name), ", $") + "]"
		}
	})
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		var errs []error
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Changed || f.Name == "help" {
				return
			}
			for _, name := range variables(f.Name) {
				if v := os.Getenv(name); v != "" {
					if err := cmd.Flags().Set(f.Name, v); err != nil {
						errs = append(errs, fmt.Errorf("%s=%q: %w", name, v, err))
					}
					return
				}
			}
		})
		return errors.Join(errs...)
	}
}

// logFlags are the flags of every role about its log.
type logFlags struct{ level, format string }

func (l *logFlags) add(f *pflag.FlagSet) {
	f.StringVar(&l.level, "log.level", "info", "least level that is logged: debug, info, warn, error")
	f.StringVar(&l.format, "log.format", "text", "format of the log: text, json")
}

// gazetteLevels are levels that Gazette has more than we do.
var gazetteLevels = map[string]string{"trace": "debug", "warning": "warn", "fatal": "error", "panic": "error"}

// logger writes to standard error.
func (l *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	name := l.level
	if theirs, ok := gazetteLevels[strings.ToLower(name)]; ok {
		name = theirs
	}
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return nil, withHint(fmt.Errorf("unknown log level %q", l.level), "levels are debug, info, warn and error")
	}
	opts := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	default:
		return nil, withHint(fmt.Errorf("unknown log format %q", l.format), "formats are text and json")
	}
}
