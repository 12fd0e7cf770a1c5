package shards

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/internal/speech"
)

// recoverFlags are the flags of recover.
type recoverFlags struct{ id, dir string }

func recoverCommand(s *shared) *cobra.Command {
	var f recoverFlags
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Play the recovery log of a shard to a directory",
		Long: `Rebuild the files of a shard's store in a directory, of its recovery log: by its primary's hints or else the newest backup
or else from the log's begin. The shard goes on as it is: its log isn't taken over.`,
		Example: `  broadsheet shards recover --id counts-000 -d ./counts-000`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.run(cmd, f.run) },
	}
	cmd.Flags().StringVar(&f.id, "id", "", "the shard")
	cmd.Flags().StringVarP(&f.dir, "dir", "d", "", "directory of the files: it has to be empty, or isn't there yet")
	return cmd
}

func (f *recoverFlags) run(ctx context.Context, s *session) error {
	if f.id == "" {
		return speech.WithHint(errors.New("--id is missing"), "'broadsheet shards list' shows which shards there are")
	}
	if f.dir == "" {
		return speech.WithHint(errors.New("--dir is missing"), "say where the files are to be with -d")
	}
	x, err := s.one(ctx, f.id)
	if err != nil {
		return err
	}
	log := x.GetSpec().RecoveryLog()
	if log == "" {
		return fmt.Errorf("shard %s has no recovery log", f.id)
	}
	all, err := s.consumer.hints(ctx, x.GetSpec())
	if err != nil {
		return err
	}
	hints, err := x.GetSpec().PickHints(all...)
	if err != nil {
		return err
	}
	p, err := recoverylog.NewPlayer(recoverylog.PlayerConfig{
		Journals: recoverylog.Brokers(s.Client), Hints: hints, FS: vfs.Default, Dir: f.dir, Logger: s.Log,
	})
	if err != nil {
		return err
	}
	if err := p.FinishAtWriteHead(); err != nil {
		return err
	}
	r, err := p.Play(ctx)
	if err != nil {
		return err
	}
	n := p.Stats()
	_, err = fmt.Fprintf(s.Out, "played %s through offset %d to %s: %s of %s\n", log, r.Offset, f.dir, plural(int(n.Applied), "operation"), plural(int(n.Bytes), "byte"))
	return err
}
