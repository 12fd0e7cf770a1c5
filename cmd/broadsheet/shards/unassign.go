package shards

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
)

// unassignFlags are the flags of unassign.
type unassignFlags struct {
	selector       string
	failed, dryRun bool
}

func unassignCommand(s *shared) *cobra.Command {
	var f unassignFlags
	cmd := &cobra.Command{
		Use:   "unassign",
		Short: "Take shards from their consumers, so that they are assigned anew",
		Long: `Take the shards that a selector matches from their primaries, and from all consumers that have failed with them. They are
assigned anew then, as a rule to others. Those that were taken are shown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd, f.run) },
	}
	selectorFlag(cmd, &f.selector)
	cmd.Flags().BoolVar(&f.failed, "failed", false, "only from consumers that have failed with them")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show which would be taken, and take none")
	return cmd
}

func (f *unassignFlags) run(ctx context.Context, s *session) error {
	found, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(found))
	for _, x := range found {
		ids = append(ids, idOf(x))
	}
	done, err := s.consumer.unassign(ctx, ids, f.failed, f.dryRun)
	rows := make([][]string, 0, len(done))
	for _, id := range done {
		rows = append(rows, []string{id})
	}
	what := "UNASSIGNED"
	if f.dryRun {
		what = "TO UNASSIGN"
	}
	return errors.Join(listing.Table(s.Out, []string{what}, rows), err)
}
