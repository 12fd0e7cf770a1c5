package journals

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

// pruneFlags are the flags of prune.
type pruneFlags struct {
	selector string
	dryRun   bool
	now      func() time.Time
}

func pruneCommand(s *cluster.Flags) *cobra.Command {
	f := pruneFlags{now: time.Now}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove fragments that are past their journal's retention",
		Long: `Remove from their stores the fragments of the journals that a selector matches which were persisted longer ago
than their journal's retention. A journal whose retention is 0 keeps all for ever (Gazette's tool removes
everything then). Recovery logs are left alone, as their old fragments may be needed.

This process removes them itself, and so has to reach the stores: --broker.file-root roots file:/// ones, and
--stores is a file as brokers have it, which says how others are reached. Only fragments that brokers know are
removed, oldest first; smaller ones that those covered may come to light then, and be removed by another run. If
one can't be removed, later ones of its journal are left as well, so that there's no hole.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, s, f.run) },
	}
	selectorFlag(cmd, &f.selector)
	s.StoresFlag(cmd)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be removed, and remove nothing")
	return cmd
}

func (f *pruneFlags) run(ctx context.Context, s *session) error {
	found, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	stores, err := s.OpenStores(f.dryRun)
	if err != nil {
		return err
	}
	defer func() { _ = stores.Close() }()
	p := pruning{pruneFlags: f, session: s, stores: stores}
	var rows [][]string
	var errs []error
	for _, j := range found {
		n, err := p.journal(ctx, j)
		if err != nil {
			errs = append(errs, err)
		}
		if n.fragments != 0 || n.missing != 0 {
			rows = append(rows, []string{
				j.GetSpec().GetName(), strconv.Itoa(n.fragments), strconv.FormatInt(n.bytes, 10), strconv.Itoa(n.missing),
			})
		}
	}
	what := "REMOVED"
	if f.dryRun {
		what = "TO REMOVE"
	}
	return errors.Join(listing.Table(s.Out, []string{"JOURNAL", what, "CONTENT BYTES", "NOT FOUND"}, rows), errors.Join(errs...))
}

// pruning is one run.
type pruning struct {
	*pruneFlags
	*session
	stores *cluster.Removal
}

// pruned is what was removed of a journal, or would be.
type pruned struct {
	fragments int
	bytes     int64 // of content
	missing   int   // fragments that stores hadn't any more
}

func (p *pruning) journal(ctx context.Context, j *protocol.ListResponse_Journal) (pruned, error) {
	var out pruned
	spec := j.GetSpec()
	retention := spec.GetFragment().GetRetention().AsDuration()
	if retention <= 0 || isFull(j) {
		return out, nil
	}
	if cluster.IsRecoveryLog(spec) {
		p.Log.LogAttrs(ctx, slog.LevelWarn, "recovery log isn't pruned by its retention", slog.String("journal", spec.GetName()))
		return out, nil
	}
	all, err := p.Client.Fragments(ctx, spec.GetName())
	if err != nil {
		return out, err
	}
	for _, m := range all {
		fragment := fragments.FragmentFromProto(m)
		if !fragment.Stored() || p.now().Sub(time.Unix(fragment.ModTime, 0)) < retention {
			continue
		}
		err := p.stores.Remove(ctx, fragment)
		switch {
		case errors.Is(err, store.ErrNotFound):
			out.missing++
			continue
		case err != nil:
			return out, fmt.Errorf("%s: %w", spec.GetName(), err)
		}
		out.fragments++
		out.bytes += fragment.Length()
	}
	return out, nil
}
