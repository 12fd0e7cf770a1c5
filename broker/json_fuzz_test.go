package broker

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
)

// noDeadlines is a recorder that takes deadlines, which it never meets.
type noDeadlines struct{ *httptest.ResponseRecorder }

// SetWriteDeadline as of http.ResponseController.
func (noDeadlines) SetWriteDeadline(time.Time) error { return nil }

// FuzzJSON: any body is a request, which JSON can tell again, or an error that is the
// client's; and any request may be part of an answer.
func FuzzJSON(f *testing.F) {
	f.Add(`{"selector":{"include":{"labels":[{"name":"name","value":"a/","prefix":true}]}},"watch":true}`)
	f.Add(`{"journal":"a/journal","offset":"-1","block":true,"header":{"etcd":{"revision":1}}}`)
	f.Add(`{"spec":{"fragment":{"retention":"1.5s"},"labels":null},"route":{"primary":-1}}`)
	f.Add(`{"fragment":{"sum":null},"content":"aGVsbG8=","status":"OK"}`)
	f.Add(`{"header":{}} x`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, m := range []proto.Message{
			new(protocol.ListRequest), new(protocol.ReadRequest), new(protocol.ListResponse),
			new(protocol.ReadResponse), new(protocol.ListResponse_Journal),
		} {
			if err := decodeJSON([]byte(body), m); err != nil {
				require.Equal(t, codes.InvalidArgument, status.Code(err))
				continue
			}
			text, err := protojson.Marshal(m)
			require.NoError(t, err)
			again := m.ProtoReflect().New().Interface()
			require.NoError(t, decodeJSON(text, again))
			require.True(t, proto.Equal(m, again), "%s", text)
			checkFilled(t, m)
		}
	})
}

// checkFilled writes an answer: the message is left as it was, and a client gets it.
func checkFilled(t *testing.T, m proto.Message) {
	t.Helper()
	before := proto.Clone(m)
	filled := m
	switch m := m.(type) {
	case *protocol.ListResponse:
		filled = fillList(m)
	case *protocol.ReadResponse:
		filled = fillRead(m)
	case *protocol.ListResponse_Journal:
		filled = fillList(&protocol.ListResponse{Journals: []*protocol.ListResponse_Journal{m}})
	}
	require.True(t, proto.Equal(before, m))
	w := httptest.NewRecorder()
	out := &jsonStream{w: w, control: http.NewResponseController(noDeadlines{w}), patience: patience{ctx: t.Context()}}
	require.NoError(t, out.send(filled))
	line, ok := strings.CutPrefix(w.Body.String(), `{"result":`)
	require.True(t, ok)
	require.Equal(t, 1, strings.Count(line, "\n"))
	got := filled.ProtoReflect().New().Interface()
	require.NoError(t, decodeJSON([]byte(strings.TrimSuffix(line, "}\n")), got))
	require.True(t, proto.Equal(filled, got))
}
