package journals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/journalspace"
)

// applyFlags are the flags of apply.
type applyFlags struct {
	specs  string
	dryRun bool
	maxTxn int
	stdin  io.Reader
}

func applyCommand(s *cluster.Flags) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make, change and delete journals, as a YAML file says",
		Long: `Make, change and delete journals, as a YAML file says: a tree as 'journals list -o yaml' prints it. Each
journal has the revision that it was listed with, and is changed only if it still has it; without one it
is made; with -1 it is changed whatever it was. 'delete: true' deletes it. A store may be written by its name in the
file --stores, and what follows that, as lake/clicks/.

All changes are made or none, unless --max-txn-size says to make them in several steps.`,
		Example: `  broadsheet journals apply --specs journals.yaml
  broadsheet journals list -l prefix=acme/ -o yaml | sed s/GZIP/ZSTANDARD/ | broadsheet journals apply`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.stdin = cmd.InOrStdin()
			return run(cmd, s, f.run)
		},
	}
	cmd.Flags().StringVar(&f.specs, "specs", "-", "file of the specs; - is standard input")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be asked of a broker, and change nothing")
	s.StoresFlag(cmd)
	batchFlag(cmd, &f.maxTxn)
	return cmd
}

func (f *applyFlags) run(ctx context.Context, s *session) error {
	text, err := f.read()
	if err != nil {
		return err
	}
	changes, err := s.changesOf(text)
	if err != nil {
		return speech.WithHint(fmt.Errorf("--specs %s: %w", f.specs, err), "'broadsheet journals list -o yaml' shows how specs are written")
	}
	if f.dryRun {
		return listing.Proto(s.Out, &protocol.ApplyRequest{Changes: changes})
	}
	return s.apply(ctx, changes, f.maxTxn)
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
func (s *session) changesOf(text []byte) ([]*protocol.ApplyRequest_Change, error) {
	root, err := journalspace.Parse(text)
	if err == nil {
		err = s.resolveStores(root)
	}
	if err != nil {
		return nil, err
	}
	changes, err := root.Changes()
	if err == nil && len(changes) == 0 {
		err = errors.New("it has no journals")
	}
	return changes, err
}
