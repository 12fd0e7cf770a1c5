package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/shardspace"
	"broadsheet.dev/broadsheet/protocol"
)

// listFlags are the flags of list.
type listFlags struct {
	selector                   string
	format                     *listing.Choice
	labels                     []string
	primary, replicas, rf, lag bool
}

func listCommand(s *shared) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List shards",
		Long: `List the shards that a selector matches, or all, with the status of the replica that is furthest. In YAML they are a set that
'shards apply' takes. JSON has the errors of replicas that have failed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd, f.run) },
	}
	selectorFlag(cmd, &f.selector)
	f.format = listing.FormatFlag(cmd, "table", "yaml", "json", "proto")
	p := cmd.Flags()
	p.StringSliceVarP(&f.labels, "label-columns", "L", nil, "labels to show as columns (repeat)")
	p.BoolVarP(&f.primary, "primary", "p", false, "show the primary consumer")
	p.BoolVarP(&f.replicas, "replicas", "r", false, "show the other consumers, and their statuses")
	p.BoolVar(&f.rf, "rf", false, "show how many replicas there are of those that there should be")
	p.BoolVar(&f.lag, "lag", false, "show how many bytes of each source are yet to be read; ? where no consumer tells")
	return cmd
}

func (f *listFlags) run(ctx context.Context, s *session) error {
	if f.lag && f.format.Value != "table" {
		return fmt.Errorf("--lag: it is shown in a table only, and the format is %s", f.format.Value)
	}
	found, err := s.list(ctx, f.selector)
	if err != nil {
		return err
	}
	switch f.format.Value {
	case "yaml":
		return writeYAML(s.Out, found)
	case "json":
		return listing.JSON(s.Out, &shards.ListResponse{Shards: found})
	case "proto":
		return listing.Proto(s.Out, &shards.ListResponse{Shards: found})
	}
	var lags map[string]string
	if f.lag {
		if lags, err = s.lags(ctx, found); err != nil {
			return err
		}
	}
	return f.writeTable(s.Out, found, lags)
}

// setOf shards that were listed.
func setOf(found []*shards.ListResponse_Shard) *shardspace.Set {
	var all []shardspace.Shard
	for _, x := range found {
		all = append(all, shardspace.Shard{Spec: x.GetSpec(), Revision: x.GetModRevision()})
	}
	return shardspace.Hoist(all)
}

func writeYAML(w io.Writer, found []*shards.ListResponse_Shard) error {
	text, err := setOf(found).Format()
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func (f *listFlags) writeTable(w io.Writer, found []*shards.ListResponse_Shard, lags map[string]string) error {
	names := []string{"ID", "STATUS"}
	for _, c := range []struct {
		shown bool
		name  string
	}{{f.primary, "PRIMARY"}, {f.replicas, "REPLICAS"}, {f.rf, "RF"}, {f.lag, "LAG"}} {
		if c.shown {
			names = append(names, c.name)
		}
	}
	for _, l := range f.labels {
		names = append(names, strings.ToUpper(l))
	}
	rows := make([][]string, 0, len(found))
	for _, x := range found {
		rows = append(rows, f.row(x, lags[x.GetSpec().GetId()]))
	}
	return listing.Table(w, names, rows)
}

func (f *listFlags) row(x *shards.ListResponse_Shard, lag string) []string {
	spec := x.GetSpec()
	out := []string{spec.GetId(), statusOf(x)}
	primary, replicas := replicasOf(x)
	if f.primary {
		out = append(out, primary)
	}
	if f.replicas {
		out = append(out, strings.Join(replicas, ","))
	}
	if f.rf {
		out = append(out, fmt.Sprintf("%d/%d", len(x.GetRoute().GetMembers()), wanted(spec)))
	}
	if f.lag {
		out = append(out, lag)
	}
	for _, l := range f.labels {
		out = append(out, strings.Join(spec.GetLabels().ValuesOf(l), ","))
	}
	return out
}

// wanted replicas of a shard.
func wanted(spec *shards.ShardSpec) uint64 {
	if spec.GetDisable() {
		return 0
	}
	return uint64(spec.GetHotStandbys()) + 1
}

// statusOf a shard is that of its replica which is furthest.
func statusOf(x *shards.ListResponse_Shard) string {
	switch {
	case len(x.GetStatus()) != 0:
		var all *shards.ReplicaStatus
		for _, s := range x.GetStatus() {
			all = all.Reduce(s)
		}
		return all.GetCode().String()
	case x.GetSpec().GetDisable():
		return "<disabled>"
	default:
		return "<none>"
	}
}

// replicasOf a shard: its primary, or "<none>", and the others with their statuses.
//
//nolint:nonamedreturns // two of a kind: the names tell them apart.
func replicasOf(x *shards.ListResponse_Shard) (primary string, others []string) {
	primary = "<none>"
	for i, m := range x.GetRoute().GetMembers() {
		name := m.GetZone() + "/" + m.GetSuffix()
		if i == int(x.GetRoute().GetPrimary()) {
			primary = name
		} else {
			others = append(others, name+":"+x.GetStatus()[i].GetCode().String())
		}
	}
	return primary, others
}

// lags of shards by their ids: of each source, what its journal has more than the shard has read.
func (s *session) lags(ctx context.Context, found []*shards.ListResponse_Shard) (map[string]string, error) {
	var mu sync.Mutex
	heads := map[string]int64{}
	for _, x := range found {
		for _, source := range x.GetSpec().GetSources() {
			heads[source.GetJournal()] = 0
		}
	}
	err := cluster.Each(ctx, "lag", slices.Sorted(maps.Keys(heads)), func(name string) string { return name }, func(ctx context.Context, name string) error {
		head, err := s.head(ctx, name)
		mu.Lock()
		defer mu.Unlock()
		heads[name] = head
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(found))
	err = cluster.Each(ctx, "stat", found, idOf, func(ctx context.Context, x *shards.ListResponse_Shard) error {
		lag, err := s.lag(ctx, x.GetSpec(), heads)
		mu.Lock()
		defer mu.Unlock()
		out[x.GetSpec().GetId()] = lag
		return err
	})
	return out, err
}

func idOf(x *shards.ListResponse_Shard) string { return x.GetSpec().GetId() }

// head of a source; -1 if there is no such journal.
func (s *session) head(ctx context.Context, source string) (int64, error) {
	head, err := s.Head(ctx, source)
	switch {
	case errors.Is(err, protocol.Status_JOURNAL_NOT_FOUND.Err()):
		return -1, nil
	case !errors.Is(err, protocol.Status_SUSPENDED.Err()):
		return head, err
	}
	name, _ := protocol.SplitMeta(source)
	j, err := s.Client.GetJournal(ctx, name) // Its offset is in its spec.
	return j.GetSpec().GetSuspend().GetOffset(), err
}

func (s *session) lag(ctx context.Context, spec *shards.ShardSpec, heads map[string]int64) (string, error) {
	r, err := s.consumer.stat(ctx, spec.GetId(), nil)
	stopped := isStatus(err, shards.Status_NO_SHARD_PRIMARY, shards.Status_SHARD_STOPPED, shards.Status_SHARD_NOT_FOUND, shards.Status_NOT_SHARD_PRIMARY)
	if err != nil && !stopped {
		return "", err
	}
	var out []string
	for _, source := range spec.GetSources() {
		lag, head := "?", heads[source.GetJournal()]
		if !stopped && head >= 0 {
			lag = strconv.FormatInt(max(0, head-readThrough(r, source)), 10)
		}
		out = append(out, source.GetJournal()+":"+lag)
	}
	return strings.Join(out, ","), nil
}
