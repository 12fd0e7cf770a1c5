package shards

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
)

// Command is shards.
func Command() *cobra.Command {
	s := new(shared)
	cmd := &cobra.Command{
		Use:   "shards",
		Short: "List, change, recover and prune shards of consumers",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	s.Add(cmd.PersistentFlags())
	s.consumers.add(cmd.PersistentFlags())
	cmd.AddCommand(
		listCommand(s), applyCommand(s), editCommand(s), statCommand(s), unassignCommand(s), pruneCommand(s), recoverCommand(s),
	)
	settings.Bind(cmd)
	return cmd
}

// shared are the flags of all commands.
type shared struct {
	cluster.Flags

	consumers consumerFlags
}

// session is what a command works with.
type session struct {
	*cluster.Session

	consumer *consumers
}

// run calls fn with a session.
func (s *shared) run(cmd *cobra.Command, fn func(context.Context, *session) error) error {
	return s.Run(cmd, func(ctx context.Context, inner *cluster.Session) error {
		c, err := s.consumers.dial(inner.Log)
		if err != nil {
			return err
		}
		err = fn(ctx, &session{Session: inner, consumer: c})
		return errors.Join(err, c.close())
	})
}

// selectorFlag adds -l to a command.
func selectorFlag(cmd *cobra.Command, selector *string) {
	cmd.Flags().StringVarP(selector, "selector", "l", "", "label selector of the shards, such as 'id=counts-000' or 'app=counts, env in (test, live)'")
}

// list returns the shards that a selector matches, in the order of their ids.
func (s *session) list(ctx context.Context, selector string) ([]*shards.ListResponse_Shard, error) {
	parsed, err := protocol.ParseLabelSelector(selector)
	if err != nil {
		return nil, speech.WithHint(fmt.Errorf("--selector %q: %w", selector, err), "write it as 'id=counts-000' or 'label=value, other in (one, two)'")
	}
	return s.consumer.list(ctx, parsed)
}

// choose is list of a selector that must be given, and match something.
func (s *session) choose(ctx context.Context, selector string) ([]*shards.ListResponse_Shard, error) {
	if strings.TrimSpace(selector) == "" {
		return nil, speech.WithHint(errors.New("--selector is missing"), "say which shards are meant with -l, such as 'id=counts-000'")
	}
	out, err := s.list(ctx, selector)
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("--selector %q: no shard matches it", selector)
	}
	return out, err
}

// one returns a shard by its id.
func (s *session) one(ctx context.Context, id string) (*shards.ListResponse_Shard, error) {
	if err := shards.ValidateID(id); err != nil {
		return nil, fmt.Errorf("--id %q: %w", id, err)
	}
	found, err := s.consumer.list(ctx, &protocol.LabelSelector{Include: protocol.MustLabelSet(shards.MetaLabelID, id)})
	if err != nil {
		return nil, err
	}
	for _, x := range found {
		if x.GetSpec().GetId() == id {
			return x, nil
		}
	}
	return nil, advised(&shards.StatusError{Status: shards.Status_SHARD_NOT_FOUND, Shard: id})
}

// maxShown of a list are told; of the rest, how many there are.
const maxShown = 5

// bounded is a list in words, however long it is.
func bounded(all []string) string {
	if len(all) <= maxShown {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:maxShown], ", "), len(all)-maxShown)
}

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
