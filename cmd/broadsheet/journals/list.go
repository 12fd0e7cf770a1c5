package journals

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/journalspace"
)

// listFlags are the flags of list.
type listFlags struct {
	selector                     string
	format                       *listing.Choice
	labels                       []string
	primary, replicas, rf, store bool
	watch                        bool
}

func listCommand(s *cluster.Flags) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List journals",
		Long: `List the journals that a selector matches, or all. In YAML they are a tree that 'journals apply' takes.
A primary broker is followed by <S> if its journal is suspended.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, s, f.run) },
	}
	selectorFlag(cmd, &f.selector)
	f.format = listing.FormatFlag(cmd, "table", "yaml", "json", "proto")
	p := cmd.Flags()
	p.StringSliceVarP(&f.labels, "label-columns", "L", nil, "labels to show as columns (repeat)")
	p.BoolVarP(&f.primary, "primary", "p", false, "show the primary broker")
	p.BoolVarP(&f.replicas, "replicas", "r", false, "show the other brokers")
	p.BoolVar(&f.rf, "rf", false, "show the replication factor")
	p.BoolVar(&f.store, "stores", false, "show the fragment stores")
	p.BoolVar(&f.watch, "watch", false, "list again whenever something changes")
	return cmd
}

func (f *listFlags) run(ctx context.Context, s *session) error {
	if !f.watch {
		found, err := s.list(ctx, f.selector)
		if err != nil {
			return err
		}
		return f.write(s.Out, found)
	}
	selector, err := parseSelector(f.selector)
	if err != nil {
		return err
	}
	first := true
	err = s.Client.Watch(ctx, selector, func(now *client.Snapshot) error {
		if !first {
			if _, err := io.WriteString(s.Out, f.separator()); err != nil {
				return err
			}
		}
		first = false
		return f.write(s.Out, now.Journals)
	})
	if ctx.Err() == nil {
		return err
	}
	return nil // it was interrupted, as it should be
}

// separator is between listings of a watch.
func (f *listFlags) separator() string {
	switch f.format.Value {
	case "yaml":
		return "---\n"
	case "json":
		return ""
	default:
		return "\n"
	}
}

func (f *listFlags) write(w io.Writer, found []*protocol.ListResponse_Journal) error {
	switch f.format.Value {
	case "yaml":
		return writeYAML(w, found)
	case "json":
		return listing.JSON(w, &protocol.ListResponse{Journals: found})
	case "proto":
		return listing.Proto(w, &protocol.ListResponse{Journals: found})
	}
	return f.writeTable(w, found)
}

// tree of journals that were listed; nil if there are none.
func tree(found []*protocol.ListResponse_Journal) *journalspace.Node {
	var all []journalspace.Journal
	for _, j := range found {
		all = append(all, journalspace.Journal{Spec: j.GetSpec(), Revision: j.GetModRevision()})
	}
	return journalspace.Hoist(all)
}

func writeYAML(w io.Writer, found []*protocol.ListResponse_Journal) error {
	root := tree(found)
	if root == nil {
		return nil
	}
	text, err := root.Format()
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func (f *listFlags) writeTable(w io.Writer, found []*protocol.ListResponse_Journal) error {
	names := []string{"NAME"}
	for _, c := range []struct {
		shown bool
		name  string
	}{{f.primary, "PRIMARY"}, {f.replicas, "REPLICAS"}, {f.rf, "RF"}, {f.store, "STORES"}} {
		if c.shown {
			names = append(names, c.name)
		}
	}
	for _, l := range f.labels {
		names = append(names, strings.ToUpper(l))
	}
	rows := make([][]string, 0, len(found))
	for _, j := range found {
		rows = append(rows, f.row(j))
	}
	return listing.Table(w, names, rows)
}

func (f *listFlags) row(j *protocol.ListResponse_Journal) []string {
	spec := j.GetSpec()
	out := []string{spec.GetName()}
	primary, replicas := brokersOf(j.GetRoute())
	if f.primary {
		if spec.GetSuspend().GetLevel() != protocol.JournalSpec_Suspend_NONE {
			primary += " <S>"
		}
		out = append(out, primary)
	}
	if f.replicas {
		out = append(out, strings.Join(replicas, ","))
	}
	if f.rf {
		out = append(out, strconv.Itoa(int(spec.GetReplication())))
	}
	if f.store {
		out = append(out, strings.Join(spec.GetFragment().GetStores(), ","))
	}
	for _, l := range f.labels {
		out = append(out, strings.Join(spec.GetLabels().ValuesOf(l), ","))
	}
	return out
}

// brokersOf a route: the primary, or "<none>", and the others.
//
//nolint:nonamedreturns // two of a kind: the names tell them apart.
func brokersOf(route *protocol.Route) (primary string, replicas []string) {
	primary = "<none>"
	for i, m := range route.GetMembers() {
		name := fmt.Sprintf("%s/%s", m.GetZone(), m.GetSuffix())
		if i == int(route.GetPrimary()) {
			primary = name
		} else {
			replicas = append(replicas, name)
		}
	}
	return primary, replicas
}
