package journals

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
)

// Command is journals.
func Command() *cobra.Command {
	s := new(cluster.Flags)
	cmd := &cobra.Command{
		Use:   "journals",
		Short: "List, change, read and append to journals",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	s.Add(cmd.PersistentFlags())
	cmd.AddCommand(
		listCommand(s), applyCommand(s), editCommand(s), appendCommand(s), readCommand(s), fragmentsCommand(s),
		pruneCommand(s), resetHeadCommand(s), suspendCommand(s), storeHealthCommand(s),
	)
	settings.Bind(cmd)
	return cmd
}

// session is what a command works with.
type session struct{ *cluster.Session }

// run calls fn with a session.
func run(cmd *cobra.Command, s *cluster.Flags, fn func(context.Context, *session) error) error {
	return s.Run(cmd, func(ctx context.Context, s *cluster.Session) error { return fn(ctx, &session{s}) })
}

// selectorFlag adds -l to a command.
func selectorFlag(cmd *cobra.Command, selector *string) {
	cmd.Flags().StringVarP(selector, "selector", "l", "", "label selector of the journals, such as 'name=acme/rides' or 'prefix=acme/, env in (test, live)'")
}

// list returns the journals that a selector matches.
func (s *session) list(ctx context.Context, selector string) ([]*protocol.ListResponse_Journal, error) {
	parsed, err := parseSelector(selector)
	if err != nil {
		return nil, err
	}
	return s.Client.List(ctx, parsed)
}

func parseSelector(selector string) (*protocol.LabelSelector, error) {
	parsed, err := protocol.ParseLabelSelector(selector)
	if err == nil {
		err = (&protocol.ListRequest{Selector: parsed}).Validate()
	}
	if err != nil {
		return nil, speech.WithHint(fmt.Errorf("--selector %q: %w", selector, err), "write it as 'name=acme/rides' or 'prefix=acme/, label=value'")
	}
	return parsed, nil
}

// choose is list of a selector that must be given, and match something.
func (s *session) choose(ctx context.Context, selector string) ([]*protocol.ListResponse_Journal, error) {
	if strings.TrimSpace(selector) == "" {
		return nil, speech.WithHint(errors.New("--selector is missing"), "say which journals are meant with -l, such as 'name=acme/rides' or 'prefix=acme/'")
	}
	out, err := s.list(ctx, selector)
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("--selector %q: no journal matches it", selector)
	}
	return out, err
}

// batchFlag adds --max-txn-size to a command that applies.
func batchFlag(cmd *cobra.Command, size *int) {
	cmd.Flags().IntVar(size, "max-txn-size", 0, "most changes of one transaction; 0 makes all in one. etcd has a limit, 128 unless set otherwise")
}

// apply changes, and say what was done.
func (s *session) apply(ctx context.Context, changes []*protocol.ApplyRequest_Change, size int) error {
	if size < 0 {
		return fmt.Errorf("--max-txn-size: %d isn't a number of changes", size)
	}
	r, err := s.Client.ApplyInBatches(ctx, changes, size)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "applied %s at revision %d\n", plural(len(changes), "change"), r.GetHeader().GetEtcd().GetRevision())
	return err
}

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
