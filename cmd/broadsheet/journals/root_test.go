package journals_test

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func signalContext() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

func sorted(text string) string {
	all := strings.Split(text, "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// orNothing is a shorthand, or what no flag is called.
func orNothing(short string) string {
	if short == "" {
		return "\x00"
	}
	return short
}

// visit calls fn for each flag of each command, where it is defined.
func visit(cmd *cobra.Command, fn func(cmd *cobra.Command, long, short string)) {
	for _, flags := range []*pflag.FlagSet{cmd.PersistentFlags(), cmd.LocalNonPersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				fn(cmd, f.Name, f.Shorthand)
			}
		})
	}
	for _, sub := range cmd.Commands() {
		visit(sub, fn)
	}
}
