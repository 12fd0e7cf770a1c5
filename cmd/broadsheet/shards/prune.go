package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
)

// pruneFlags are the flags of prune.
type pruneFlags struct {
	selector string
	dryRun   bool
}

func pruneCommand(s *shared) *cobra.Command {
	var f pruneFlags
	cmd := &cobra.Command{
		Use:     "prune",
		Aliases: []string{"prune-log"},
		Short:   "Remove fragments of recovery logs that no hints need",
		Long: `Remove from their stores the fragments of the recovery logs of the shards that a selector matches which are needed by no hints
of any shard of the application: neither by its primary's nor by backups. Logs of which a shard lacks some of its hints, which are
suspended, or whose stores aren't healthy are left alone, and the reason is shown. If the hints of any shard can't be read
nothing is removed.

Shards of other applications aren't seen: don't prune logs that they have files in. This process removes fragments
itself, and so has to reach the stores: --broker.file-root roots file:/// ones, and --stores is a file as brokers have it, which
says how others are reached. Those that a store doesn't let it remove are counted.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd, f.run) },
	}
	selectorFlag(cmd, &f.selector)
	s.StoresFlag(cmd)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be removed, and remove nothing")
	return cmd
}

// everything is a selector of all shards.
func everything() *protocol.LabelSelector {
	return &protocol.LabelSelector{Include: new(protocol.LabelSet), Exclude: new(protocol.LabelSet)}
}

func (f *pruneFlags) run(ctx context.Context, s *session) error {
	chosen, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	stores, err := s.OpenStores(f.dryRun)
	if err != nil {
		return err
	}
	defer func() { _ = stores.Close() }()
	p := pruning{session: s, stores: stores, sick: map[string]error{}}
	if p.listed, err = s.consumer.list(ctx, everything()); err != nil {
		return err
	}
	// Hints are read before fragments are listed, as later hints need no fragment which is there by then and they don't.
	if p.keepers, err = s.keepers(ctx, p.listed); err != nil {
		return err
	}
	var rows [][]string
	for _, log := range logsOf(chosen) {
		var n pruned
		if n, err = p.prune(ctx, log); err != nil {
			err = fmt.Errorf("prune %s: %w", log, err)
		}
		rows = append(rows, n.row(log))
		if err != nil {
			break
		}
	}
	what := "REMOVED"
	if f.dryRun {
		what = "TO REMOVE"
	}
	return errors.Join(listing.Table(s.Out, []string{"LOG", what, "CONTENT BYTES", "KEPT", "NOT FOUND", "DENIED", "LEFT ALONE"}, rows), err)
}

// logsOf shards, each once, in order.
func logsOf(chosen []*shards.ListResponse_Shard) []string {
	var out []string
	for _, x := range chosen {
		if log := x.GetSpec().RecoveryLog(); log != "" {
			out = append(out, log)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// pruning is one run.
type pruning struct {
	*session

	stores  *cluster.Removal
	listed  []*shards.ListResponse_Shard // all that there are
	keepers []keeper
	sick    map[string]error // by store that was asked about; nil is healthy
}

// pruned is what was removed of a log, or would be.
type pruned struct {
	removed int
	bytes   int64 // of content
	kept    int   // fragments that are needed
	missing int   // those that stores hadn't any more
	denied  int   // those that stores didn't let go
	left    string
}

func (n *pruned) row(log string) []string {
	return []string{log, strconv.Itoa(n.removed), strconv.FormatInt(n.bytes, 10), strconv.Itoa(n.kept), strconv.Itoa(n.missing), strconv.Itoa(n.denied), n.left}
}

// prune a log.
func (p *pruning) prune(ctx context.Context, log string) (pruned, error) {
	needs, err := needsOf(log, p.keepers)
	if errors.Is(err, recoverylog.ErrHintsMissing) {
		return pruned{left: err.Error()}, nil
	}
	if err != nil {
		return pruned{left: "its hints aren't valid"}, err
	}
	left, err := p.leave(ctx, log)
	if left != "" || err != nil {
		return pruned{left: left}, err
	}
	all, err := p.Client.Fragments(ctx, log)
	if err != nil {
		return pruned{}, err
	}
	gone := prunable(needs, all)
	if len(gone) == 0 {
		return pruned{kept: len(all)}, nil
	}
	if err := p.unchanged(ctx, p.listed); err != nil {
		return pruned{kept: len(all)}, err
	}
	out := pruned{kept: len(all) - len(gone)}
	for some := range slices.Chunk(gone, maxRemovals) {
		if err := p.remove(ctx, some, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// maxRemovals bounds the goroutines that wait for their turn.
const maxRemovals = 4096

// prunable are the fragments in stores that aren't needed.
func prunable(needs *recoverylog.Needs, all []*protocol.Fragment) []fragments.Fragment {
	var out []fragments.Fragment
	for _, m := range needs.Prunable(all) {
		if f := fragments.FragmentFromProto(m); f.Stored() {
			out = append(out, f)
		}
	}
	return out
}

// leave a log alone, and why: what its brokers know of it may not be all, or it is no recovery log.
func (p *pruning) leave(ctx context.Context, log string) (string, error) {
	j, err := p.Client.GetJournal(ctx, log)
	switch {
	case errors.Is(err, protocol.Status_JOURNAL_NOT_FOUND.Err()):
		return "there is no such journal", nil
	case err != nil:
		return "", err
	case !cluster.IsRecoveryLog(j.GetSpec()):
		return "its content-type isn't that of a recovery log", nil
	case j.GetSpec().GetSuspend().GetLevel() != protocol.JournalSpec_Suspend_NONE:
		return "it is suspended", nil
	}
	for _, name := range j.GetSpec().GetFragment().GetStores() {
		err, asked := p.sick[name]
		if !asked {
			err = p.Client.FragmentStoreHealth(ctx, name, false, "")
			p.sick[name] = err
		}
		if _, sick := errors.AsType[*client.StoreHealthError](err); sick {
			return err.Error(), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// remove fragments, some at once, and count what became of them. The first error but those that are counted is the last: the
// others would have it as well.
func (p *pruning) remove(ctx context.Context, gone []fragments.Fragment, n *pruned) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var mu sync.Mutex
	err := cluster.Each(ctx, "prune", gone, func(f fragments.Fragment) string { return f.ContentPath() }, func(ctx context.Context, f fragments.Fragment) error {
		if ctx.Err() != nil {
			return nil // Another one failed.
		}
		err := p.stores.Remove(ctx, f)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			n.removed++
			n.bytes += f.Length()
		case errors.Is(err, store.ErrNotFound):
			n.missing++
		case errors.Is(err, store.ErrNotAllowed) && !speech.Hinted(err):
			n.denied++
			p.Log.LogAttrs(ctx, slog.LevelWarn, "fragment can't be removed", slog.String("fragment", f.ContentPath()), slog.String("error", err.Error()))
		case context.Cause(ctx) != nil:
		default:
			stop(err)
		}
		return nil
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
