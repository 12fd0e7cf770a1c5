// Command broadsheet is the one binary: every role of the system, and its tools.
//
// This package wires and parses flags; it holds no logic. speech.go says how it talks.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/cmd/broadsheet/attach"
	"broadsheet.dev/broadsheet/cmd/broadsheet/journals"
	"broadsheet.dev/broadsheet/cmd/broadsheet/shards"
	"broadsheet.dev/broadsheet/cmd/broadsheet/sql"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
)

// commit is set by the linker.
var commit = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	cmd := rootCommand()
	if err := cmd.ExecuteContext(ctx); err != nil {
		speech.Say(os.Stderr, "broadsheet", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func rootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "broadsheet",
		Short:         "A distributed log whose files are its lake, and whose front door is SQL",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	cmd.SetVersionTemplate("broadsheet {{.Version}}\n")
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return withHint(err, "run '"+c.CommandPath()+" --help' to see its flags")
	})
	cmd.AddCommand(serveCommand(), brokerCommand(), consumerCommand(), gatewayCommand(), journals.Command(), shards.Command(), attach.Command(), sql.Command(), sql.TablesCommand(), settings.Command())
	return cmd
}
