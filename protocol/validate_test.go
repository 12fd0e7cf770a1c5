package protocol_test

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"broadsheet.dev/broadsheet/protocol"
)

// headerText stands for a valid header where a scenario writes $HEADER.
const headerText = `{ route { primary: -1 } etcd { cluster_id: 1 member_id: 2 revision: 3 raft_term: 4 } }`

// TestValidate runs:
//
//	validate <message>    texts of messages, one a line -> "ok", or the error
//
// Words in capitals that begin with '$' stand for text: $HEADER for a valid header,
// $X<n> for n times "x".
func TestValidate(t *testing.T) {
	datadriven.Walk(t, "testdata/validate", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			require.Equal(t, "validate", d.Cmd)
			var out strings.Builder
			for line := range strings.SplitSeq(d.Input, "\n") {
				m := newMessage(t, d)
				require.NoError(t, prototext.Unmarshal([]byte(expand(line)), m), line)
				err := m.(validator).Validate()
				if err == nil {
					out.WriteString("ok\n")
					continue
				}
				var v *protocol.ValidationError
				require.ErrorAs(t, err, &v)
				out.WriteString(long.ReplaceAllString(err.Error(), "xxx...") + "\n")
			}
			return out.String()
		})
	})
}

var (
	times = regexp.MustCompile(`\$X(\d+)`)
	long  = regexp.MustCompile(`x{10,}`)
)

func expand(text string) string {
	text = strings.ReplaceAll(text, "$HEADER", headerText)
	return times.ReplaceAllStringFunc(text, func(s string) string {
		n, err := strconv.Atoi(s[2:])
		if err != nil {
			panic(err)
		}
		return strings.Repeat("x", n)
	})
}

// TestEveryMessageValidates proves that no message, of what is sent or stored, lacks
// a Validate method, and that each survives being empty or absent.
func TestEveryMessageValidates(t *testing.T) {
	protoregistry.GlobalTypes.RangeMessages(func(typ protoreflect.MessageType) bool {
		name := typ.Descriptor().FullName()
		if name.Parent() != "protocol" && name.Parent().Parent() != "protocol" || name == "protocol.SHA1Sum" {
			return true // any three numbers are a sum
		}
		for _, m := range []protoreflect.Message{typ.New(), typ.Zero()} {
			v, ok := m.Interface().(validator)
			if !ok {
				t.Errorf("%s has no Validate", name)
				continue
			}
			if m.IsValid() {
				_ = v.Validate()
			}
		}
		return true
	})
}

// TestContentIsValidatedWithoutAllocation covers the messages of which there's one
// per chunk of content.
func TestContentIsValidatedWithoutAllocation(t *testing.T) {
	content := make([]byte, 1024)
	for _, m := range []validator{
		&protocol.AppendRequest{Content: content},
		&protocol.AppendRequest{},
		&protocol.ReadResponse{Offset: 1, Content: content},
		&protocol.ReplicateRequest{Content: content, ContentDelta: 1},
		&protocol.AppendRequest{Journal: "a/journal", Offset: 12},
	} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if err := m.Validate(); err != nil {
				panic(err)
			}
		}), "%T", m)
	}
}

func validHeader() *protocol.Header {
	return &protocol.Header{
		Route: protocol.EmptyRoute(),
		Etcd:  &protocol.Header_Etcd{ClusterId: 1, MemberId: 2, Revision: 3, RaftTerm: 4},
	}
}

func TestEmptyRouteHasPrimaryMinusOne(t *testing.T) {
	require.EqualError(t, new(protocol.Route).Validate(), "Primary: invalid Primary (0; expected -1 <= Primary < 0)")
	require.NoError(t, protocol.EmptyRoute().Validate())
	require.EqualValues(t, -1, protocol.EmptyRoute().GetPrimary())

	h := validHeader()
	require.NoError(t, h.Validate())
	h.Route = nil
	require.Error(t, h.Validate(), "an absent route is one with primary 0")
}

func TestHeaderEtcdIsFullyNonZero(t *testing.T) {
	for _, zero := range []func(*protocol.Header_Etcd){
		func(e *protocol.Header_Etcd) { e.ClusterId = 0 },
		func(e *protocol.Header_Etcd) { e.MemberId = 0 },
		func(e *protocol.Header_Etcd) { e.Revision = 0 },
		func(e *protocol.Header_Etcd) { e.Revision = -1 },
		func(e *protocol.Header_Etcd) { e.RaftTerm = 0 },
	} {
		h := validHeader()
		zero(h.GetEtcd())
		require.Error(t, h.Validate())
	}
}

func TestHeaderProcessIDMayBeEmpty(t *testing.T) {
	h := validHeader()
	h.ProcessId = new(protocol.ProcessSpec_ID)
	require.NoError(t, h.Validate())
	h.ProcessId = &protocol.ProcessSpec_ID{Zone: "z"}
	require.ErrorContains(t, h.Validate(), "ProcessId.Suffix: ")
	h.ProcessId = &protocol.ProcessSpec_ID{Zone: "z", Suffix: "abcd"}
	require.NoError(t, h.Validate())
}

func TestCommitAndRegistersArePresentWithOK(t *testing.T) {
	r := &protocol.AppendResponse{Header: validHeader(), Registers: new(protocol.LabelSet)}
	require.EqualError(t, r.Validate(), "Commit: expected Commit with Status OK")

	r.Commit = &protocol.Fragment{Journal: "a/journal", CompressionCodec: protocol.CompressionCodec_NONE}
	require.NoError(t, r.Validate())

	r.Registers = nil
	require.EqualError(t, r.Validate(), "Registers: expected Registers with Status OK")

	// Absent isn't empty on the wire, either.
	r.Registers = new(protocol.LabelSet)
	b, err := proto.Marshal(r)
	require.NoError(t, err)
	back := new(protocol.AppendResponse)
	require.NoError(t, proto.Unmarshal(b, back))
	require.NotNil(t, back.GetRegisters())

	mismatch := &protocol.AppendResponse{Status: protocol.Status_REGISTER_MISMATCH, Header: validHeader()}
	require.EqualError(t, mismatch.Validate(), "Registers: expected Registers with Status REGISTER_MISMATCH")
}

func TestResponsesHaveAHeader(t *testing.T) {
	for _, m := range []validator{
		&protocol.AppendResponse{Status: protocol.Status_JOURNAL_NOT_FOUND},
		&protocol.ApplyResponse{},
		&protocol.FragmentsResponse{},
		&protocol.FragmentStoreHealthResponse{},
	} {
		require.ErrorContains(t, m.Validate(), "Header.", "%T", m)
	}
}

func TestMetadataAndContentNeverMix(t *testing.T) {
	content := func() *protocol.ReadResponse { return &protocol.ReadResponse{Offset: 5, Content: []byte("x")} }
	require.NoError(t, content().Validate())
	for _, mix := range []func(*protocol.ReadResponse){
		func(r *protocol.ReadResponse) { r.Status = protocol.Status_SUSPENDED },
		func(r *protocol.ReadResponse) { r.Header = validHeader() },
		func(r *protocol.ReadResponse) { r.WriteHead = 1 },
		func(r *protocol.ReadResponse) { r.Fragment = new(protocol.Fragment) },
		func(r *protocol.ReadResponse) { r.FragmentUrl = "file:///x" },
	} {
		r := content()
		mix(r)
		require.ErrorContains(t, r.Validate(), "with Content")
	}
}

func TestOKReadWithoutFragmentHasOffsetZero(t *testing.T) {
	require.NoError(t, (&protocol.ReadResponse{WriteHead: 9}).Validate())
	require.Error(t, (&protocol.ReadResponse{Offset: 9, WriteHead: 9}).Validate())
	notYet := &protocol.ReadResponse{Status: protocol.Status_OFFSET_NOT_YET_AVAILABLE, Offset: 9, WriteHead: 9}
	require.NoError(t, notYet.Validate(), "the idiom that asks for the write head")
}

func TestCommitMessageIsEmpty(t *testing.T) {
	b, err := proto.Marshal(new(protocol.AppendRequest))
	require.NoError(t, err)
	require.Empty(t, b)
	require.NoError(t, new(protocol.AppendRequest).Validate())
}

func TestValidationErrorNamesThePath(t *testing.T) {
	err := (&protocol.LabelSet{Labels: []*protocol.Label{{Name: "a name"}}}).Validate()
	require.EqualError(t, err, `Labels[0].Name: rune ' ' isn't allowed ("a name")`)
	var v *protocol.ValidationError
	require.ErrorAs(t, err, &v)
	require.Equal(t, "Labels[0].Name", v.Path)

	change := &protocol.ApplyRequest_Change{Upsert: &protocol.JournalSpec{Name: "a/journal", Replication: 1, Labels: &protocol.LabelSet{Labels: []*protocol.Label{{Name: "x"}}}}}
	require.ErrorContains(t, (&protocol.ApplyRequest{Changes: []*protocol.ApplyRequest_Change{change}}).Validate(),
		"Changes[0].Upsert.Labels.Labels[0].Name: invalid length")
}

func TestStatusErrorsAreTheSameByStatus(t *testing.T) {
	err := error(&protocol.StatusError{Status: protocol.Status_SUSPENDED, Journal: "a/journal", Detail: "by hand"})
	require.EqualError(t, err, "a/journal: SUSPENDED: by hand")
	require.ErrorIs(t, errors.Join(err), protocol.Status_SUSPENDED.Err())
	require.NotErrorIs(t, err, protocol.Status_NOT_ALLOWED.Err())
	require.NotErrorIs(t, errors.New("other"), protocol.Status_SUSPENDED.Err())
	require.NoError(t, protocol.Status_OK.Err())
}
