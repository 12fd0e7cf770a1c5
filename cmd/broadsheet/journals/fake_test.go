package journals_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// fakeBroker keeps specs, and does with journals what the label "does" of each says:
//
//	flushed   all is persisted, and suspends partially
//	empty     has no content, and suspends fully
//	ahead     its stores have 1234 bytes, and its brokers none
//	raced     was appended to by another since its head was told
//	holey     begins at 100, with the 5 bytes "later"
//	stored    has two fragments in its store, of an hour ago
//	broken    fails
//
// It keeps what it is asked. A request with the token "wrong" isn't authenticated.
type fakeBroker struct {
	protocol.UnimplementedJournalServer
	endpoint string

	mu       sync.Mutex
	revision int64
	journals map[string]*protocol.ListResponse_Journal
	requests []string
}

func startFake(t *testing.T) *fakeBroker {
	t.Helper()
	f := &fakeBroker{revision: 10, journals: map[string]*protocol.ListResponse_Journal{}}
	ln := brokertest.Listen(t)
	f.endpoint = "unix://" + ln.Addr().String()
	server := grpc.NewServer()
	protocol.RegisterJournalServer(server, f)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	require.NotEmpty(t, f.endpoint)
	return f
}

// asked keeps a request, in one line.
func (f *fakeBroker) asked(format string, args ...any) {
	f.requests = append(f.requests, fmt.Sprintf(format, args...))
}

// takeRequests returns what was asked, in order of journals, as some is asked concurrently.
func (f *fakeBroker) takeRequests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.requests)
	out := strings.Join(append(f.requests, ""), "\n")
	f.requests = nil
	return out
}

func (f *fakeBroker) header() *protocol.Header {
	return &protocol.Header{
		ProcessId: &protocol.ProcessSpec_ID{Zone: "zz", Suffix: "fake"}, Route: protocol.EmptyRoute(),
		Etcd: &protocol.Header_Etcd{ClusterId: 1, MemberId: 2, Revision: f.revision, RaftTerm: 3},
	}
}

func (f *fakeBroker) List(req *protocol.ListRequest, stream grpc.ServerStreamingServer[protocol.ListResponse]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if md, _ := metadata.FromIncomingContext(stream.Context()); slices.Contains(md.Get("authorization"), "Bearer wrong") {
		return errUnauthenticated
	}
	r := &protocol.ListResponse{Header: f.header()}
	for _, j := range f.journals {
		if req.GetSelector().ResolveMeta().Matches(j.GetSpec().SelectableLabels()) {
			r.Journals = append(r.Journals, j)
		}
	}
	slices.SortFunc(r.GetJournals(), func(a, b *protocol.ListResponse_Journal) int {
		return cmp.Compare(a.GetSpec().GetName(), b.GetSpec().GetName())
	})
	return stream.Send(r)
}

func (f *fakeBroker) Apply(_ context.Context, req *protocol.ApplyRequest) (*protocol.ApplyResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked("apply %d", len(req.GetChanges()))
	for _, c := range req.GetChanges() {
		name := cmp.Or(c.GetUpsert().GetName(), c.GetDelete())
		if want := c.GetExpectModRevision(); want != -1 && want != f.journals[name].GetModRevision() {
			return &protocol.ApplyResponse{Header: f.header(), Status: protocol.Status_ETCD_TRANSACTION_FAILED}, nil
		}
	}
	f.revision++
	for _, c := range req.GetChanges() {
		delete(f.journals, c.GetDelete())
		if spec := c.GetUpsert(); spec != nil {
			f.put(spec)
		}
	}
	return &protocol.ApplyResponse{Header: f.header()}, nil
}

func (f *fakeBroker) put(spec *protocol.JournalSpec) {
	f.journals[spec.GetName()] = &protocol.ListResponse_Journal{
		Spec: spec, ModRevision: f.revision, CreateRevision: f.revision,
		Route: &protocol.Route{Members: []*protocol.ProcessSpec_ID{{Zone: "zone-a", Suffix: "left"}, {Zone: "zone-b", Suffix: "right"}}, Primary: 1},
	}
}

func (f *fakeBroker) does(journal string) string {
	return f.journals[journal].GetSpec().GetLabels().ValueOf("does")
}

func (f *fakeBroker) Read(req *protocol.ReadRequest, stream grpc.ServerStreamingServer[protocol.ReadResponse]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked("%s: read offset=%d block=%t metadata_only=%t", req.GetJournal(), req.GetOffset(), req.GetBlock(), req.GetMetadataOnly())
	head := int64(77)
	if f.does(req.GetJournal()) == "holey" && req.GetOffset() < 105 {
		m := &protocol.ReadResponse{
			Header: f.header(), Offset: max(100, req.GetOffset()), WriteHead: 105,
			Fragment: &protocol.Fragment{Journal: req.GetJournal(), Begin: 100, End: 105, CompressionCodec: protocol.CompressionCodec_NONE},
		}
		if err := stream.Send(m); err != nil {
			return err
		}
		if err := stream.Send(&protocol.ReadResponse{Offset: 100, Content: []byte("later")}); err != nil {
			return err
		}
		return stream.Send(&protocol.ReadResponse{Status: protocol.Status_OFFSET_NOT_YET_AVAILABLE, Offset: 105, WriteHead: 105})
	}
	if f.does(req.GetJournal()) == "ahead" {
		head = 1234
	}
	return stream.Send(&protocol.ReadResponse{
		Header: f.header(), Status: protocol.Status_OFFSET_NOT_YET_AVAILABLE, Offset: head, WriteHead: head,
	})
}

func (f *fakeBroker) Append(stream grpc.ClientStreamingServer[protocol.AppendRequest, protocol.AppendResponse]) error {
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	content := 0
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		content += len(m.GetContent())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked("%s: append offset=%d suspend=%s bytes=%d", req.GetJournal(), req.GetOffset(), req.GetSuspend(), content)
	r := &protocol.AppendResponse{
		Header: f.header(), Registers: new(protocol.LabelSet), Commit: &protocol.Fragment{
			Journal: req.GetJournal(), Begin: req.GetOffset(), End: req.GetOffset(),
			Sum: protocol.SumOf(nil), CompressionCodec: protocol.CompressionCodec_NONE,
		},
	}
	switch does := f.does(req.GetJournal()); {
	case does == "broken":
		return errBroken
	case does == "raced" && req.GetOffset() != 0:
		r.Status = protocol.Status_WRONG_APPEND_OFFSET
	case req.GetSuspend() != protocol.AppendRequest_SUSPEND_IF_FLUSHED && req.GetSuspend() != protocol.AppendRequest_SUSPEND_NOW:
	case does == "empty":
		f.suspend(req.GetJournal(), protocol.JournalSpec_Suspend_FULL)
	case does == "flushed" || req.GetSuspend() == protocol.AppendRequest_SUSPEND_NOW:
		if f.suspend(req.GetJournal(), protocol.JournalSpec_Suspend_PARTIAL) {
			r.Status = protocol.Status_SUSPENDED
		}
	}
	return stream.SendAndClose(r)
}

// suspend a journal, and tell whether it was.
func (f *fakeBroker) suspend(journal string, level protocol.JournalSpec_Suspend_Level) bool {
	spec := f.journals[journal].GetSpec()
	was := spec.GetSuspend() != nil
	if !was {
		spec.Suspend = &protocol.JournalSpec_Suspend{Level: level, Offset: 77}
		f.revision++
		f.put(spec)
	}
	return was
}

func (f *fakeBroker) ListFragments(_ context.Context, req *protocol.FragmentsRequest) (*protocol.FragmentsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &protocol.FragmentsResponse{Header: f.header()}
	if f.does(req.GetJournal()) != "stored" {
		return r, nil
	}
	for begin := int64(0); begin < 20; begin += 10 {
		r.Fragments = append(r.GetFragments(), &protocol.FragmentsResponse_XFragment{Spec: &protocol.Fragment{
			Journal: req.GetJournal(), Begin: begin, End: begin + 10, Sum: protocol.SumOf(nil), CompressionCodec: protocol.CompressionCodec_NONE,
			BackingStore: f.journals[req.GetJournal()].GetSpec().GetFragment().GetStores()[0], ModTime: time.Now().Add(-time.Hour).Unix(),
		}})
	}
	return r, nil
}

func (f *fakeBroker) FragmentStoreHealth(_ context.Context, req *protocol.FragmentStoreHealthRequest) (*protocol.FragmentStoreHealthResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked("health %s check_delete=%t prefix=%q", req.GetFragmentStore(), req.GetCheckDelete(), req.GetCheckDeletePrefix())
	r := &protocol.FragmentStoreHealthResponse{Header: f.header()}
	if strings.Contains(req.GetFragmentStore(), "sick") {
		r.Status, r.StoreHealthError = protocol.Status_FRAGMENT_STORE_UNHEALTHY, "its bucket is gone"
	}
	return r, nil
}

var (
	errBroken          = status.Error(codes.Internal, "it is broken")
	errUnauthenticated = status.Error(codes.Unauthenticated, "missing or empty Authorization token")
)
