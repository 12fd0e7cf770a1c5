package shards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
)

// statFlags are the flags of stat.
type statFlags struct {
	id, selector string
	format       *listing.Choice
	through      []string
}

func statCommand(s *shared) *cobra.Command {
	var f statFlags
	cmd := &cobra.Command{
		Use:   "stat",
		Short: "Show how far shards have read their journals, and published",
		Long: `Ask the primaries of shards up to which offsets they have read their sources, in transactions that are done, and have
published to other journals. With --read-through, that is once they have read so much; of several shards each waits for the
journals that are its sources.`,
		Example: `  broadsheet shards stat --id counts-000 --read-through acme/rides/part-000=1024`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.run(cmd, f.run) },
	}
	selectorFlag(cmd, &f.selector)
	cmd.Flags().StringVar(&f.id, "id", "", "the one shard that is meant")
	f.format = listing.FormatFlag(cmd, "table", "json")
	cmd.Flags().StringSliceVar(&f.through, "read-through", nil, "wait until the shard has read through an offset of a journal, as JOURNAL=OFFSET (repeat)")
	return cmd
}

func (f *statFlags) run(ctx context.Context, s *session) error {
	through, err := f.offsets()
	if err != nil {
		return err
	}
	found, err := f.choose(ctx, s)
	if err != nil {
		return err
	}
	if err := readBy(found, through); err != nil {
		return err
	}
	var mu sync.Mutex
	stats, specs := map[string]*shards.StatResponse{}, map[string]*shards.ShardSpec{}
	err = cluster.Each(ctx, "stat", found, idOf, func(ctx context.Context, x *shards.ListResponse_Shard) error {
		r, err := s.consumer.stat(ctx, idOf(x), offsetsOf(x.GetSpec(), through))
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		stats[idOf(x)], specs[idOf(x)] = r, x.GetSpec()
		return nil
	})
	if f.format.Value == "json" {
		return errors.Join(writeStats(s, stats), err)
	}
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(stats)) {
		rows = append(rows, statRows(specs[id], stats[id])...)
	}
	return errors.Join(listing.Table(s.Out, []string{"ID", "JOURNAL", "READ THROUGH", "PUBLISHED TO"}, rows), err)
}

// choose the shards that are meant, by one of the flags.
func (f *statFlags) choose(ctx context.Context, s *session) ([]*shards.ListResponse_Shard, error) {
	switch {
	case f.id != "" && f.selector != "":
		return nil, speech.WithHint(errors.New("--id: --selector is given, too"), "give one of them")
	case f.id == "":
		return s.choose(ctx, f.selector)
	}
	x, err := s.one(ctx, f.id)
	return []*shards.ListResponse_Shard{x}, err
}

// offsets that shards have to read through.
func (f *statFlags) offsets() (map[string]int64, error) {
	out := map[string]int64{}
	for _, text := range f.through {
		i := strings.LastIndexByte(text, '=')
		if i < 0 {
			return nil, speech.WithHint(fmt.Errorf("--read-through %q: has no offset", text), "write it as JOURNAL=OFFSET")
		}
		journal, number := text[:i], text[i+1:]
		offset, err := strconv.ParseInt(number, 10, 64)
		if err != nil || offset < 0 {
			return nil, speech.WithHint(fmt.Errorf("--read-through %q: %q isn't an offset", text, number), "write it as JOURNAL=OFFSET")
		}
		if err := protocol.ValidateJournal(journal); err != nil {
			return nil, fmt.Errorf("--read-through %q: journal: %w", text, err)
		}
		out[journal] = offset
	}
	return out, nil
}

// readBy tells which journal that is to be read through none of the shards reads: it would be waited for without an end.
func readBy(found []*shards.ListResponse_Shard, through map[string]int64) error {
	for _, journal := range slices.Sorted(maps.Keys(through)) {
		if slices.ContainsFunc(found, func(x *shards.ListResponse_Shard) bool { return mayRead(x.GetSpec(), journal) }) {
			continue
		}
		if len(found) > 1 {
			return speech.WithHint(fmt.Errorf("--read-through: journal %s is a source of none of the %d shards", journal, len(found)),
				"'broadsheet shards list -o yaml' shows their sources")
		}
		return speech.WithHint(fmt.Errorf("--read-through: journal %s isn't a source of shard %s", journal, idOf(found[0])),
			"its sources are "+bounded(sourcesOf(found[0].GetSpec())))
	}
	return nil
}

// mayRead tells whether a shard reads a journal. An application that finds its messages itself knows other journals than the spec.
func mayRead(spec *shards.ShardSpec, journal string) bool {
	return len(spec.GetSources()) == 0 || slices.Contains(sourcesOf(spec), journal)
}

func sourcesOf(spec *shards.ShardSpec) []string {
	out := make([]string, 0, len(spec.GetSources()))
	for _, source := range spec.GetSources() {
		out = append(out, source.GetJournal())
	}
	return out
}

// offsetsOf a shard are those of the journals that it reads.
func offsetsOf(spec *shards.ShardSpec, through map[string]int64) map[string]int64 {
	out := map[string]int64{}
	for journal, offset := range through {
		if mayRead(spec, journal) {
			out[journal] = offset
		}
	}
	return out
}

// readThrough is up to where a source was read: what isn't told wasn't begun.
func readThrough(r *shards.StatResponse, source *shards.ShardSpec_Source) int64 {
	return max(r.GetReadThrough()[source.GetJournal()], source.GetMinOffset())
}

// statRows has a row for each journal that a shard reads or publishes to.
func statRows(spec *shards.ShardSpec, r *shards.StatResponse) [][]string {
	read := map[string]int64{}
	for _, source := range spec.GetSources() {
		read[source.GetJournal()] = readThrough(r, source)
	}
	for name, offset := range r.GetReadThrough() {
		read[name] = max(read[name], offset)
	}
	all := map[string]bool{}
	for name := range read {
		all[name] = true
	}
	for name := range r.GetPublishAt() {
		all[name] = true
	}
	offset := func(of map[string]int64, name string) string {
		if n, ok := of[name]; ok {
			return strconv.FormatInt(n, 10)
		}
		return ""
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		rows = append(rows, []string{spec.GetId(), name, offset(read, name), offset(r.GetPublishAt(), name)})
	}
	return rows
}

// writeStats writes an object that has each shard's answer by its id.
func writeStats(s *session, stats map[string]*shards.StatResponse) error {
	out := make(map[string]json.RawMessage, len(stats))
	for id, r := range stats {
		text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(r)
		if err != nil {
			return err
		}
		out[id] = text
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "%s\n", text)
	return err
}
