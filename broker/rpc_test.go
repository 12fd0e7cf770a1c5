package broker_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// TestRPCs plays the files of testdata/rpc, each on a broker of its own, over gRPC.
// Commands:
//
//	create NAME [flags=NAME] [length=N] [codec=NAME] [stores=none]
//	append NAME [offset=N] [check=SELECTOR] [union=N:V,...] [subtract=N:V,...] [suspend=NAME]
//	   input: the messages after the first, one a line: content TEXT | zeros N | empty | params NAME
//	read NAME [offset=N] [end=N] [since=N] [block] [metadata] [no-proxy]   (a blocking read needs an end)
//	list [SELECTOR]
//	apply
//	   input: the changes, one a line: upsert NAME expect=N [replication=N] [rate=N] [level=NAME] [store=URL] | delete NAME expect=N
//	fragments NAME [limit=N] [token=N] [begin=N] [end=N] [sign]
//	stored NAME count=N      waits until N fragments are stored, and no other is left locally but the open one
//	restart | kill
func TestRPCs(t *testing.T) {
	datadriven.Walk(t, "testdata/rpc", func(t *testing.T, path string) {
		t.Helper()
		s := &rpcScript{t: t, b: brokertest.New(t, brokertest.Config{}), ctx: bounded(t)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			s.t = t
			return s.run(d)
		})
	})
}

type rpcScript struct {
	t   *testing.T
	b   *brokertest.Broker
	ctx context.Context
}

func (s *rpcScript) run(d *datadriven.TestData) string {
	switch d.Cmd {
	case "create":
		s.b.Create(s.spec(d))
		return ""
	case "append":
		return s.append(d)
	case "read":
		return s.read(d)
	case "list":
		return s.list(d)
	case "apply":
		return s.apply(d)
	case "fragments":
		return s.fragments(d)
	case "stored":
		name, w := argsOf(d)
		awaitStored(s.ctx, s.t, s.b, name, int(w.number(s.t, "count")))
		return ""
	case "restart":
		s.b.Restart()
		return ""
	case "kill":
		s.b.Kill()
		s.b.Restart()
		return ""
	default:
		d.Fatalf(s.t, "unknown command %q", d.Cmd)
		return ""
	}
}

// words are the arguments key=value of a line.
type words map[string]string

func wordsOf(fields []string) words {
	w := make(words)
	for _, f := range fields {
		key, value, _ := strings.Cut(f, "=")
		w[key] = value
	}
	return w
}

func (w words) has(key string) bool { _, ok := w[key]; return ok }

func (w words) number(t *testing.T, key string) int64 {
	t.Helper()
	if !w.has(key) {
		return 0
	}
	n, err := strconv.ParseInt(w[key], 10, 64)
	require.NoError(t, err)
	return n
}

// argsOf returns the name that a command begins with, and its other arguments.
func argsOf(d *datadriven.TestData) (string, words) {
	w := make(words)
	name := ""
	for i, arg := range d.CmdArgs {
		if i == 0 && len(arg.Vals) == 0 {
			name = arg.Key
			continue
		}
		w[arg.Key] = strings.Join(arg.Vals, ",")
	}
	return name, w
}

func setOf(text string) *protocol.LabelSet {
	set := new(protocol.LabelSet)
	for pair := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(pair, ":"); ok {
			set.AddValue(name, value)
		}
	}
	return set
}

func (s *rpcScript) spec(d *datadriven.TestData) *protocol.JournalSpec {
	name, w := argsOf(d)
	spec := brokertest.Spec(name)
	if w.has("length") {
		spec.Fragment.Length = w.number(s.t, "length")
	}
	if w.has("codec") {
		spec.Fragment.CompressionCodec = protocol.CompressionCodec(protocol.CompressionCodec_value[w["codec"]])
	}
	if w.has("flags") {
		spec.Flags = uint32(protocol.JournalSpec_Flag_value[w["flags"]])
	}
	if w["stores"] == "none" {
		spec.Fragment.Stores = nil
	}
	if w.has("labels") {
		spec.Labels = setOf(w["labels"])
	}
	return spec
}

func (s *rpcScript) append(d *datadriven.TestData) string {
	name, w := argsOf(d)
	params := &protocol.AppendRequest{
		Journal: name,
		Offset:  w.number(s.t, "offset"),
		Suspend: protocol.AppendRequest_Suspend(protocol.AppendRequest_Suspend_value[w["suspend"]]),
	}
	if w.has("check") {
		selector, err := protocol.ParseLabelSelector(w["check"])
		require.NoError(s.t, err)
		params.CheckRegisters = selector
	}
	if w.has("union") {
		params.UnionRegisters = setOf(w["union"])
	}
	if w.has("subtract") {
		params.SubtractRegisters = setOf(w["subtract"])
	}
	messages := []*protocol.AppendRequest{params}
	for line := range strings.Lines(d.Input) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		m := new(protocol.AppendRequest)
		switch word {
		case "content":
			m.Content = []byte(rest)
		case "zeros":
			n, err := strconv.Atoi(rest)
			require.NoError(s.t, err)
			m.Content = make([]byte, n)
		case "params":
			m.Journal = rest
		}
		messages = append(messages, m)
	}
	r, err := appendMessages(s.ctx, s.b.Client(), messages...)
	if err != nil {
		return fmt.Sprintln(err)
	}
	require.NoError(s.t, r.Validate())
	out := r.GetStatus().String()
	if c := r.GetCommit(); c != nil {
		out += fmt.Sprintf(" [%d,%d) %s %016x", c.GetBegin(), c.GetEnd(), c.GetCompressionCodec(), c.GetSum().GetPart1())
	}
	if r.GetRegisters() != nil {
		out += " registers " + formatLabels(r.GetRegisters())
	}
	return out + fmt.Sprintf(" chunks %d\n", r.GetTotalChunks())
}

func formatLabels(set *protocol.LabelSet) string {
	var pairs []string
	for _, l := range set.GetLabels() {
		pairs = append(pairs, l.GetName()+":"+l.GetValue())
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func (s *rpcScript) read(d *datadriven.TestData) string {
	name, w := argsOf(d)
	messages, err := readAll(s.ctx, s.b.Client(), &protocol.ReadRequest{
		Journal:      name,
		Offset:       w.number(s.t, "offset"),
		EndOffset:    w.number(s.t, "end"),
		BeginModTime: w.number(s.t, "since"),
		Block:        w.has("block"),
		MetadataOnly: w.has("metadata"),
		DoNotProxy:   w.has("no-proxy"),
	})
	var out strings.Builder
	for i, m := range messages {
		require.NoError(s.t, m.Validate())
		if len(m.GetContent()) != 0 {
			fmt.Fprintf(&out, "content at %d: %s\n", m.GetOffset(), abbreviate(m.GetContent()))
			continue
		}
		require.Equal(s.t, i == 0, m.GetHeader() != nil, "the first message has a header, and no other")
		fmt.Fprintf(&out, "%s offset %d head %d%s\n", m.GetStatus(), m.GetOffset(), m.GetWriteHead(), formatFragment(m.GetFragment(), m.GetFragmentUrl()))
	}
	if err != nil {
		fmt.Fprintln(&out, err)
	}
	return out.String()
}

func abbreviate(content []byte) string {
	if len(content) > 100 {
		return fmt.Sprintf("%d bytes", len(content))
	}
	return strconv.Quote(string(content))
}

func formatFragment(f *protocol.Fragment, url string) string {
	if f == nil {
		return ""
	}
	out := fmt.Sprintf(" fragment [%d,%d) %s", f.GetBegin(), f.GetEnd(), f.GetCompressionCodec())
	if (f.GetModTime() != 0) != (f.GetBackingStore() != "") {
		return out + " with half a store"
	}
	if f.GetBackingStore() != "" {
		out += " in " + f.GetBackingStore()
	}
	if url != "" {
		out += " at " + url
	}
	return out
}

func (s *rpcScript) list(d *datadriven.TestData) string {
	req := new(protocol.ListRequest)
	if d.Input != "" {
		selector, err := protocol.ParseLabelSelector(strings.TrimSpace(d.Input))
		require.NoError(s.t, err)
		req.Selector = selector
	}
	journals, err := listAll(s.ctx, s.b.Client(), req)
	if err != nil {
		return fmt.Sprintln(err)
	}
	var out strings.Builder
	for _, j := range journals {
		require.NoError(s.t, j.Validate())
		fmt.Fprintf(&out, "%s %s\n", j.GetSpec().GetName(), formatLabels(j.GetSpec().GetLabels()))
	}
	return out.String()
}

func (s *rpcScript) apply(d *datadriven.TestData) string {
	req := new(protocol.ApplyRequest)
	for line := range strings.Lines(d.Input) {
		fields := strings.Fields(line)
		w := wordsOf(fields[2:])
		c := new(protocol.ApplyRequest_Change)
		if w["expect"] == "now" {
			c.ExpectModRevision = s.revision(fields[1])
		} else {
			c.ExpectModRevision = w.number(s.t, "expect")
		}
		if fields[0] == "delete" {
			c.Delete = fields[1]
		} else {
			c.Upsert = s.changed(fields[1], w)
		}
		req.Changes = append(req.Changes, c)
	}
	r, err := s.b.Client().Apply(s.ctx, req)
	if err != nil {
		return fmt.Sprintln(err)
	}
	require.NoError(s.t, r.Validate())
	return fmt.Sprintln(r.GetStatus())
}

func (s *rpcScript) changed(name string, w words) *protocol.JournalSpec {
	spec := brokertest.Spec(name)
	if w.has("replication") {
		spec.Replication = int32(w.number(s.t, "replication"))
	}
	spec.MaxAppendRate = w.number(s.t, "rate")
	if w.has("level") {
		spec.Suspend = &protocol.JournalSpec_Suspend{
			Level: protocol.JournalSpec_Suspend_Level(protocol.JournalSpec_Suspend_Level_value[w["level"]]),
		}
	}
	if w.has("store") {
		spec.Fragment.Stores = []string{w["store"]}
	}
	return spec
}

// revision of a journal's spec now.
func (s *rpcScript) revision(name string) int64 {
	journals, err := listAll(s.ctx, s.b.Client(), &protocol.ListRequest{Selector: nameSelector(name)})
	require.NoError(s.t, err)
	require.Len(s.t, journals, 1)
	return journals[0].GetModRevision()
}

func (s *rpcScript) fragments(d *datadriven.TestData) string {
	name, w := argsOf(d)
	req := &protocol.FragmentsRequest{
		Journal:       name,
		PageLimit:     int32(w.number(s.t, "limit")),
		NextPageToken: w.number(s.t, "token"),
		BeginModTime:  w.number(s.t, "begin"),
		EndModTime:    w.number(s.t, "end"),
	}
	if w.has("sign") {
		req.SignatureTTL = durationpb.New(time.Minute)
	}
	r, err := s.b.Client().ListFragments(s.ctx, req)
	if err != nil {
		return fmt.Sprintln(err)
	}
	require.NoError(s.t, r.Validate())
	var out strings.Builder
	fmt.Fprintln(&out, r.GetStatus())
	for _, f := range r.GetFragments() {
		fmt.Fprintln(&out, strings.TrimSpace(formatFragment(f.GetSpec(), f.GetSignedUrl())))
	}
	if r.GetNextPageToken() != 0 {
		fmt.Fprintf(&out, "next %d\n", r.GetNextPageToken())
	}
	return out.String()
}
