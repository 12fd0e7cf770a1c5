package journals

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/protocol"
)

// each calls fn for each journal, some at once.
func each(ctx context.Context, command string, found []*protocol.ListResponse_Journal, fn func(context.Context, *protocol.ListResponse_Journal) error) error {
	return cluster.Each(ctx, command, found, func(j *protocol.ListResponse_Journal) string { return j.GetSpec().GetName() }, fn)
}

// resetHeadFlags are the flags of reset-head.
type resetHeadFlags struct{ selector string }

func resetHeadCommand(s *cluster.Flags) *cobra.Command {
	var f resetHeadFlags
	cmd := &cobra.Command{
		Use:   "reset-head",
		Short: "Let journals go on after the greatest offset that their stores have",
		Long: `Let the journals that a selector matches go on after the greatest offset that their stores, or a broker, have.

Brokers refuse appends to a journal (INDEX_HAS_GREATER_OFFSET) when its stores have more of it than all of its brokers:
these have lost its head. Whatever was appended after the last persisted fragment is gone, and with this
command you say that you know. Journals that didn't lose anything stay as they are.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, s, f.run) },
	}
	selectorFlag(cmd, &f.selector)
	return cmd
}

func (f *resetHeadFlags) run(ctx context.Context, s *session) error {
	found, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	return each(ctx, "reset-head", found, func(ctx context.Context, j *protocol.ListResponse_Journal) error {
		if isFull(j) {
			return nil // whose offset is in its spec
		}
		name := j.GetSpec().GetName()
		head, err := s.Head(ctx, name)
		if err != nil {
			return err
		}
		_, err = s.Client.Append(ctx, client.AppendParams{Journal: name, Offset: head, Suspend: protocol.AppendRequest_SUSPEND_KEEP}, nil)
		if errors.Is(err, protocol.Status_WRONG_APPEND_OFFSET.Err()) {
			return nil // another append came first, so it has a head
		}
		return err
	})
}

// suspendFlags are the flags of suspend.
type suspendFlags struct {
	selector string
	force    bool
}

func suspendCommand(s *cluster.Flags) *cobra.Command {
	var f suspendFlags
	cmd := &cobra.Command{
		Use:   "suspend",
		Short: "Suspend journals, so that they need fewer brokers, or none",
		Long: `Suspend the journals that a selector matches, if all their content is persisted. A journal that has no content in its
stores any more is suspended fully, and needs no brokers; any other partially, and needs one. The next append resumes a
journal. What became of each is shown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, s, f.run) },
	}
	selectorFlag(cmd, &f.selector)
	cmd.Flags().BoolVarP(&f.force, "force", "f", false, "also suspend journals whose content has yet to be persisted, and persist it")
	return cmd
}

func (f *suspendFlags) run(ctx context.Context, s *session) error {
	found, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	how := protocol.AppendRequest_SUSPEND_IF_FLUSHED
	if f.force {
		how = protocol.AppendRequest_SUSPEND_NOW
	}
	err = each(ctx, "suspend", found, func(ctx context.Context, j *protocol.ListResponse_Journal) error {
		_, err := s.Client.Append(ctx, client.AppendParams{Journal: j.GetSpec().GetName(), Suspend: how}, nil)
		if errors.Is(err, protocol.Status_SUSPENDED.Err()) {
			return nil // it is now, or was before
		}
		return err
	})
	now, listErr := s.choose(ctx, f.selector)
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	var rows [][]string
	for _, j := range now {
		suspend := j.GetSpec().GetSuspend()
		offset := ""
		if suspend.GetLevel() != protocol.JournalSpec_Suspend_NONE {
			offset = strconv.FormatInt(suspend.GetOffset(), 10)
		}
		rows = append(rows, []string{j.GetSpec().GetName(), suspend.GetLevel().String(), offset})
	}
	return errors.Join(listing.Table(s.Out, []string{"NAME", "SUSPENDED", "OFFSET"}, rows), err)
}

// healthFlags are the flags of store-health.
type healthFlags struct {
	store, prefix string
	checkDelete   bool
}

func storeHealthCommand(s *cluster.Flags) *cobra.Command {
	var f healthFlags
	cmd := &cobra.Command{
		Use:   "store-health STORE_URL",
		Short: "Ask a broker whether it can use a fragment store",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.store, f.checkDelete = args[0], cmd.Flags().Changed("check-delete-prefix")
			return run(cmd, s, f.run)
		},
	}
	cmd.Flags().StringVar(&f.prefix, "check-delete-prefix", "", "also make and remove an object below this prefix of the store, which may be empty")
	return cmd
}

func (f *healthFlags) run(ctx context.Context, s *session) error {
	if err := s.Client.FragmentStoreHealth(ctx, f.store, f.checkDelete, f.prefix); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.Out, "%s is healthy\n", f.store)
	return err
}
