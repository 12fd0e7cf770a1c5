package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/prototext"

	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene is a client and the scripted broker that it talks to.
type scene struct {
	server *scriptServer
	client *Client
	pauses []int // attempts after which the client paused
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{server: startServer(t)}
	var err error
	s.client, err = Dial(t.Context(), Config{Endpoint: s.server.endpoint})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.client.Close()) })
	s.client.pause = func(ctx context.Context, attempt int) error {
		s.pauses = append(s.pauses, attempt)
		return ctx.Err()
	}
	return s
}

// TestScenarios plays the files of testdata: "script" gives the broker its part (see
// scriptServer), and the command after it is the client's. The output tells what the
// client returned, after which attempts it paused, and where the client departed
// from the script.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		t.Helper()
		s := newScene(t)
		commands := map[string]func(*testing.T, *datadriven.TestData) string{
			"append": s.append, "appender": s.appender, "read": s.read, "barrier": s.barrier,
			"list": s.list, "watch": s.watch, "apply": s.apply, "fragments": s.fragments,
			"get": s.get, "batches": s.batches, "health": s.health,
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			if d.Cmd == "script" {
				s.server.load(d.Input)
				return ""
			}
			s.pauses = nil
			s.server.advance()
			out := commands[d.Cmd](t, d)
			if len(s.pauses) != 0 {
				out += fmt.Sprintf("paused after attempts %v\n", s.pauses)
			}
			return out + s.server.settle()
		})
	})
}

// lost is how gRPC words the loss of a connection, which depends on timing.
var lost = regexp.MustCompile(`desc = (error reading|connection|transport|closing|the connection).*`)

// explain an error by what callers can decide on.
func explain(err error) string {
	if err == nil {
		return "ok\n"
	}
	var kinds []string
	var (
		s    *protocol.StatusError
		jump *OffsetJumpError
		p    *ProtocolError
		v    *protocol.ValidationError
	)
	if errors.Is(err, ErrUnknownOutcome) {
		kinds = append(kinds, "unknown outcome")
	}
	if errors.As(err, &s) {
		kinds = append(kinds, "status")
	}
	if errors.As(err, &jump) {
		kinds = append(kinds, "jump")
	}
	if errors.As(err, &p) {
		kinds = append(kinds, "protocol")
	}
	if errors.As(err, &v) {
		kinds = append(kinds, "validation")
	}
	if err == io.EOF { //nolint:errorlint // readers return io.EOF itself
		kinds = append(kinds, "EOF")
	}
	return fmt.Sprintf("error %v: %s\n", kinds, lost.ReplaceAllString(err.Error(), "desc = (connection lost)"))
}

func appendParams(t *testing.T, d *datadriven.TestData) AppendParams {
	t.Helper()
	p := AppendParams{Journal: "a/journal"}
	d.MaybeScanArgs(t, "journal", &p.Journal)
	d.MaybeScanArgs(t, "offset", &p.Offset)
	var text string
	if d.MaybeScanArgs(t, "suspend", &text) {
		p.Suspend = protocol.AppendRequest_Suspend(protocol.AppendRequest_Suspend_value[text])
	}
	if d.MaybeScanArgs(t, "check", &text) {
		var err error
		p.Check, err = protocol.ParseLabelSelector(text)
		require.NoError(t, err)
	}
	if d.MaybeScanArgs(t, "union", &text) {
		k, v, _ := strings.Cut(text, ":")
		p.Union = protocol.MustLabelSet(k, v)
	}
	return p
}

func describeAppend(r *protocol.AppendResponse, err error) string {
	var out strings.Builder
	if r.GetCommit() != nil {
		fmt.Fprintf(&out, "commit [%d, %d)\n", r.GetCommit().GetBegin(), r.GetCommit().GetEnd())
	}
	for _, l := range r.GetRegisters().GetLabels() {
		fmt.Fprintf(&out, "register %s=%s\n", l.GetName(), l.GetValue())
	}
	return out.String() + explain(err)
}

// failingBody fails after its content, with an error that is itself of an RPC.
type failingBody struct{ io.Reader }

func (b failingBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = &protocol.StatusError{Status: protocol.Status_NO_JOURNAL_PRIMARY_BROKER, Journal: "another/journal"}
	}
	return n, err
}

func (s *scene) append(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	content := []byte(d.Input)
	var n int
	if d.MaybeScanArgs(t, "bytes", &n) {
		content = make([]byte, n)
	}
	var body io.Reader = bytes.NewReader(content)
	switch {
	case d.HasArg("once"):
		body = io.MultiReader(body) // which can't be rewound
	case d.HasArg("fails"):
		body = failingBody{body}
	case len(content) == 0:
		body = nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if d.HasArg("give-up") {
		pause := s.client.pause
		defer func() { s.client.pause = pause }()
		s.client.pause = func(ctx context.Context, attempt int) error { cancel(); return pause(ctx, attempt) }
	}
	return describeAppend(s.client.Append(ctx, appendParams(t, d), body))
}

func (s *scene) appender(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	a, err := s.client.NewAppender(t.Context(), appendParams(t, d))
	if err != nil {
		return explain(err)
	}
	defer a.Abort()
	var out strings.Builder
	for line := range strings.SplitSeq(d.Input, "\n") {
		switch verb, arg, _ := strings.Cut(line, " "); verb {
		case "write":
			n, err := strconv.Atoi(arg)
			require.NoError(t, err)
			if _, err = a.Write(make([]byte, n)); err != nil {
				out.WriteString("write: " + explain(err))
			}
		case "write-until-error":
			for err == nil {
				_, err = a.Write(make([]byte, minChunk))
			}
			out.WriteString("write: " + explain(err))
		case "commit":
			out.WriteString(describeAppend(a.Commit()))
		case "abort":
			a.Abort()
		default:
			d.Fatalf(t, "unknown step %q", line)
		}
	}
	return out.String()
}

func (s *scene) read(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	req := new(protocol.ReadRequest)
	require.NoError(t, prototext.Unmarshal([]byte(d.Input), req))
	r := s.client.NewReader(t.Context(), req)
	defer r.Close()
	take := int64(1 << 30)
	d.MaybeScanArgs(t, "take", &take)

	var content bytes.Buffer
	_, err := io.CopyN(&content, struct{ io.Reader }{r}, take)
	again, err2 := int(0), err
	if err != nil {
		again, err2 = r.Read(make([]byte, 1))
	}
	require.Zero(t, again)
	require.Equal(t, err, err2, "an error is returned again")
	return fmt.Sprintf("%q, then offset %d, head %d\n", content.String(), r.Offset(), r.Head()) + explain(err)
}

func (s *scene) barrier(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	b, err := s.client.Barrier(t.Context(), "a/journal")
	if err != nil {
		return explain(err)
	}
	return fmt.Sprintf("head %d at revision %d\n", b.Head, b.Header.GetEtcd().GetRevision())
}

func describeJournals(journals []*protocol.ListResponse_Journal) string {
	var names []string
	for _, j := range journals {
		names = append(names, fmt.Sprintf("%s@%d", j.GetSpec().GetName(), j.GetModRevision()))
	}
	return fmt.Sprintf("%v\n", names)
}

func selectorArg(t *testing.T, d *datadriven.TestData) *protocol.LabelSelector {
	t.Helper()
	if d.Input == "" {
		return nil
	}
	sel, err := protocol.ParseLabelSelector(d.Input)
	require.NoError(t, err)
	return sel
}

func (s *scene) list(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	journals, err := s.client.List(t.Context(), selectorArg(t, d))
	if err != nil {
		return explain(err)
	}
	return describeJournals(journals)
}

func (s *scene) watch(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var n int
	d.ScanArgs(t, "snapshots", &n)
	var out strings.Builder
	enough := errors.New("that's enough")
	err := s.client.Watch(t.Context(), selectorArg(t, d), func(snap *Snapshot) error {
		fmt.Fprintf(&out, "revision %d: %s", snap.Header.GetEtcd().GetRevision(), describeJournals(snap.Journals))
		if n--; n == 0 {
			return enough
		}
		return nil
	})
	if err != enough { //nolint:errorlint // the error of fn is returned as it is
		out.WriteString(explain(err))
	}
	return out.String()
}

func (s *scene) apply(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	req := new(protocol.ApplyRequest)
	require.NoError(t, prototext.Unmarshal([]byte(expand(d.Input)), req))
	r, err := s.client.Apply(t.Context(), req.GetChanges())
	return fmt.Sprintf("at revision %d: ", r.GetHeader().GetEtcd().GetRevision()) + explain(err)
}

func (s *scene) fragments(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	journal := "a/journal"
	d.MaybeScanArgs(t, "journal", &journal)
	fragments, err := s.client.Fragments(t.Context(), journal)
	if err != nil {
		return explain(err)
	}
	var out strings.Builder
	for _, f := range fragments {
		fmt.Fprintf(&out, "[%d, %d)\n", f.GetBegin(), f.GetEnd())
	}
	return out.String()
}

func (s *scene) get(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	j, err := s.client.GetJournal(t.Context(), d.Input)
	if err != nil {
		return explain(err)
	}
	return describeJournals([]*protocol.ListResponse_Journal{j})
}

func (s *scene) batches(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var size, n int
	d.ScanArgs(t, "size", &size)
	d.ScanArgs(t, "changes", &n)
	var changes []*protocol.ApplyRequest_Change
	for i := range n {
		changes = append(changes, &protocol.ApplyRequest_Change{Delete: fmt.Sprintf("acme/%d", i), ExpectModRevision: -1})
	}
	if d.HasArg("invalid") {
		changes[n-1].ExpectModRevision = -2
	}
	r, err := s.client.ApplyInBatches(t.Context(), changes, size)
	applied := 0
	if b, ok := errors.AsType[*BatchError](err); ok {
		applied = b.Applied
	}
	return fmt.Sprintf("at revision %d, %d applied before: ", r.GetHeader().GetEtcd().GetRevision(), applied) + explain(err)
}

func (s *scene) health(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var prefix string
	d.MaybeScanArgs(t, "prefix", &prefix)
	err := s.client.FragmentStoreHealth(t.Context(), d.Input, d.HasArg("check-delete"), prefix)
	_, unhealthy := errors.AsType[*StoreHealthError](err)
	return fmt.Sprintf("unhealthy %t: ", unhealthy) + explain(err)
}
