package journals

import (
	"context"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/editor"
)

// editFlags are the flags of edit.
type editFlags struct {
	selector string
	maxTxn   int
	cmd      *cobra.Command
}

func editCommand(s *cluster.Flags) *cobra.Command {
	var f editFlags
	cmd := &cobra.Command{
		Use:   "edit",
		Short: "Change journals in an editor",
		Long: `List journals as YAML, open that in an editor, and apply what was changed. The editor is $GAZ_EDITOR, else
$EDITOR, else vi. If it can't be applied the editor opens again, with the reason at the top. Leave the text as it is,
or empty, to change nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.cmd = cmd
			return run(cmd, s, f.run)
		},
	}
	selectorFlag(cmd, &f.selector)
	s.StoresFlag(cmd)
	batchFlag(cmd, &f.maxTxn)
	return cmd
}

func (f *editFlags) run(ctx context.Context, s *session) error {
	found, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	before, err := tree(found).Format()
	if err != nil {
		return err
	}
	return editor.Edit(ctx, f.cmd, "journals.yaml", before, func(ctx context.Context, edited []byte) error {
		changes, err := s.changesOf(edited)
		if err == nil {
			err = s.apply(ctx, changes, f.maxTxn)
		}
		return err
	})
}
