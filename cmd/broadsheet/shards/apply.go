package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/cmd/broadsheet/editor"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/shardspace"
	"broadsheet.dev/broadsheet/internal/speech"
)

// applyFlags are the flags of apply.
type applyFlags struct {
	specs  string
	dryRun bool
	maxTxn int
	stdin  io.Reader
}

func applyCommand(s *shared) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make, change and delete shards, as a YAML file says",
		Long: `Make, change and delete shards, as a YAML file says: a set as 'shards list -o yaml' prints it. Each shard has the revision
that it was listed with, and is changed only if it still has it; without one it is made; with -1 it is changed whatever it was.
'delete: true' deletes it. The journals that shards read, and their recovery logs, have to be there.

All changes are made or none, unless --max-txn-size says to make them in several steps.`,
		Example: `  broadsheet shards apply --specs shards.yaml
  broadsheet shards list -l app=counts -o yaml | sed 's/hot_standbys: 1/hot_standbys: 2/' | broadsheet shards apply`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.stdin = cmd.InOrStdin()
			return s.run(cmd, f.run)
		},
	}
	cmd.Flags().StringVar(&f.specs, "specs", "-", "file of the specs; - is standard input")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be asked of a consumer, and change nothing")
	batchFlag(cmd, &f.maxTxn)
	return cmd
}

// batchFlag adds --max-txn-size to a command that applies.
func batchFlag(cmd *cobra.Command, size *int) {
	cmd.Flags().IntVar(size, "max-txn-size", 0, "most changes of one transaction; 0 makes all in one. etcd has a limit, 128 unless set otherwise")
}

func (f *applyFlags) run(ctx context.Context, s *session) error {
	text, err := f.read()
	if err != nil {
		return err
	}
	changes, err := changesOf(text)
	if err != nil {
		return speech.WithHint(fmt.Errorf("--specs %s: %w", f.specs, err), "'broadsheet shards list -o yaml' shows how specs are written")
	}
	if !f.dryRun {
		return s.apply(ctx, changes, f.maxTxn)
	}
	if err := s.verify(ctx, changes); err != nil {
		return err
	}
	return listing.Proto(s.Out, &shards.ApplyRequest{Changes: changes})
}

func (f *applyFlags) read() ([]byte, error) {
	if f.specs == "-" {
		return io.ReadAll(f.stdin)
	}
	text, err := os.ReadFile(f.specs)
	if err != nil {
		err = fmt.Errorf("--specs: %w", err)
	}
	return text, err
}

// changesOf a YAML text.
func changesOf(text []byte) ([]*shards.ApplyRequest_Change, error) {
	set, err := shardspace.Parse(text)
	if err != nil {
		return nil, err
	}
	changes, err := set.Changes()
	if err == nil && len(changes) == 0 {
		err = errors.New("it has no shards")
	}
	return changes, err
}

// apply changes whose journals are there, and say what was done.
func (s *session) apply(ctx context.Context, changes []*shards.ApplyRequest_Change, size int) error {
	if size < 0 {
		return fmt.Errorf("--max-txn-size: %d isn't a number of changes", size)
	}
	if err := s.verify(ctx, changes); err != nil {
		return err
	}
	absent := s.absent(ctx, changes)
	revision, err := s.consumer.apply(ctx, changes, size)
	if err != nil {
		return err
	}
	note := ""
	if len(absent) != 0 {
		note = "; not there to be deleted: " + bounded(absent)
	}
	_, err = fmt.Fprintf(s.Out, "applied %s at revision %d%s\n", plural(len(changes)-len(absent), "change"), revision, note)
	return err
}

// absent are the shards that are to be deleted whatever they are, and aren't there: a consumer takes that for done. Who may change shards and
// not list them isn't told.
func (s *session) absent(ctx context.Context, changes []*shards.ApplyRequest_Change) []string {
	var ids []string
	for _, c := range changes {
		if c.GetDelete() != "" && c.GetExpectModRevision() == -1 {
			ids = append(ids, c.GetDelete())
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := s.consumer.list(ctx, everything())
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(ids, func(id string) bool {
		return slices.ContainsFunc(found, func(x *shards.ListResponse_Shard) bool { return idOf(x) == id })
	})
}

// editFlags are the flags of edit.
type editFlags struct {
	selector string
	maxTxn   int
	cmd      *cobra.Command
}

func editCommand(s *shared) *cobra.Command {
	var f editFlags
	cmd := &cobra.Command{
		Use:   "edit",
		Short: "Change shards in an editor",
		Long: `List shards as YAML, open that in an editor, and apply what was changed. The editor is $GAZ_EDITOR, else
$EDITOR, else vi. If it can't be applied the editor opens again, with the reason at the top. Leave the text as it is,
or empty, to change nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.cmd = cmd
			return s.run(cmd, f.run)
		},
	}
	selectorFlag(cmd, &f.selector)
	batchFlag(cmd, &f.maxTxn)
	return cmd
}

func (f *editFlags) run(ctx context.Context, s *session) error {
	found, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	before, err := setOf(found).Format()
	if err != nil {
		return err
	}
	return editor.Edit(ctx, f.cmd, "shards.yaml", before, func(ctx context.Context, edited []byte) error {
		changes, err := changesOf(edited)
		if err == nil {
			err = s.apply(ctx, changes, f.maxTxn)
		}
		return err
	})
}
