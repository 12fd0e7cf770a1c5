package journals

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/cmd/broadsheet/listing"
	"broadsheet.dev/broadsheet/protocol"
)

// fragmentsFlags are the flags of fragments.
type fragmentsFlags struct {
	selector string
	format   *listing.Choice
	from, to int64
	urlTTL   time.Duration
}

func fragmentsCommand(s *cluster.Flags) *cobra.Command {
	var f fragmentsFlags
	cmd := &cobra.Command{
		Use:   "fragments",
		Short: "List fragments of journals",
		Long: `List the fragments that brokers know of the journals that a selector matches. Those that no store has
yet aren't persisted, and have no time: they're left out if --to is given.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, s, f.run) },
	}
	selectorFlag(cmd, &f.selector)
	f.format = listing.FormatFlag(cmd, "table", "json", "proto")
	p := cmd.Flags()
	p.Int64Var(&f.from, "from", 0, "leave out what was persisted before, in seconds since 1970")
	p.Int64Var(&f.to, "to", 0, "leave out what was persisted after, in seconds since 1970; 0 is no bound")
	p.DurationVar(&f.urlTTL, "url-ttl", 0, "show URLs at which fragments can be read for so long")
	return cmd
}

func (f *fragmentsFlags) run(ctx context.Context, s *session) error {
	if f.urlTTL < 0 {
		return fmt.Errorf("--url-ttl: %s isn't a time to live", f.urlTTL)
	}
	found, err := s.choose(ctx, f.selector)
	if err != nil {
		return err
	}
	all := new(protocol.FragmentsResponse)
	for _, j := range found {
		req := &protocol.FragmentsRequest{Journal: j.GetSpec().GetName(), BeginModTime: f.from, EndModTime: f.to}
		if f.urlTTL != 0 {
			req.SignatureTTL = durationpb.New(f.urlTTL)
		}
		if isFull(j) {
			continue // which has no brokers to ask
		}
		listed, err := s.Client.ListAllFragments(ctx, req)
		if err != nil {
			return err
		}
		all.Fragments = append(all.Fragments, listed...)
	}
	return f.write(s.Out, all)
}

// isFull tells that a journal is wholly suspended.
func isFull(j *protocol.ListResponse_Journal) bool {
	return j.GetSpec().GetSuspend().GetLevel() == protocol.JournalSpec_Suspend_FULL
}

func (f *fragmentsFlags) write(w io.Writer, all *protocol.FragmentsResponse) error {
	switch f.format.Value {
	case "json":
		return listing.JSON(w, all)
	case "proto":
		return listing.Proto(w, all)
	}
	names := []string{"JOURNAL", "OFFSET", "LENGTH", "PERSISTED", "SHA1", "COMPRESSION"}
	if f.urlTTL != 0 {
		names = append(names, "URL")
	}
	var rows [][]string
	for _, x := range all.GetFragments() {
		row := fragmentRow(x.GetSpec())
		if f.urlTTL != 0 {
			row = append(row, x.GetSignedUrl())
		}
		rows = append(rows, row)
	}
	return listing.Table(w, names, rows)
}

func fragmentRow(f *protocol.Fragment) []string {
	persisted := ""
	if f.GetModTime() != 0 {
		persisted = time.Unix(f.GetModTime(), 0).UTC().Format(time.RFC3339)
	}
	sum := f.GetSum().Digest()
	return []string{
		f.GetJournal(), strconv.FormatInt(f.GetBegin(), 10), strconv.FormatInt(f.GetEnd()-f.GetBegin(), 10),
		persisted, hex.EncodeToString(sum[:]), f.GetCompressionCodec().String(),
	}
}
