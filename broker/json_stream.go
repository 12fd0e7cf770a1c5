package broker

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/protocol"
)

// jsonStream is an answer of the JSON gateway: a line for each message, and one for an
// error at the end.
type jsonStream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience patience
	begun    bool // headers are sent
	buf      bytes.Buffer
}

func (o *jsonStream) send(m proto.Message) error {
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	o.buf.Reset()
	o.buf.WriteString(`{"result":`)
	// The library adds spaces here and there, so that nobody relies on its bytes.
	if err := json.Compact(&o.buf, text); err != nil {
		return err
	}
	o.buf.WriteString("}\n")
	if err := o.control.SetWriteDeadline(o.patience.deadline()); err != nil {
		return err
	}
	o.begin(http.StatusOK)
	if _, err := o.w.Write(o.buf.Bytes()); err != nil {
		return err
	}
	return o.control.Flush()
}

func (o *jsonStream) begin(code int) {
	if !o.begun {
		o.begun = true
		o.w.Header().Set("Content-Type", "application/json")
		o.w.WriteHeader(code)
	}
}

// finish ends the answer with the outcome of the RPC.
func (o *jsonStream) finish(err error) {
	if o.patience.wait != 0 {
		// The rest is sent after this, and may not take for ever either.
		_ = o.control.SetWriteDeadline(time.Now().Add(o.patience.wait))
	}
	if err == nil {
		o.begin(http.StatusOK)
		return
	}
	s := jsonError(err)
	o.fail(httpCode(s.Code()), s.Err())
}

// fail ends the answer with an error, in the shape of Gazette's gateway. A code that
// comes too late is only in the text.
func (o *jsonStream) fail(code int, err error) {
	s, _ := status.FromError(err)
	text, err := json.Marshal(map[string]any{"error": struct {
		GRPCCode   codes.Code `json:"grpcCode"`
		HTTPCode   int        `json:"httpCode"`
		Message    string     `json:"message"`
		HTTPStatus string     `json:"httpStatus"`
		Details    []string   `json:"details"` // there are none, ever
	}{s.Code(), code, s.Message(), http.StatusText(code), []string{}}})
	if err != nil {
		return // It can't be: there are numbers and text.
	}
	o.begin(code)
	_, _ = o.w.Write(append(text, '\n')) // A client that is gone can't be told.
}

// httpCode of an error, as gRPC's gateways choose it.
func httpCode(c codes.Code) int {
	switch c {
	case codes.OK:
		return http.StatusOK
	case codes.Canceled:
		return http.StatusRequestTimeout
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// Gazette's messages hold some of their parts by value, and so write them even if
// nothing is in them: as objects, where ours would be null. What follows fills those
// in, in copies, since specs and routes are shared.

func fillList(m *protocol.ListResponse) *protocol.ListResponse {
	m = proto.CloneOf(m)
	m.Header = fillHeader(m.GetHeader())
	for _, j := range m.GetJournals() {
		j.Spec = fillSpec(j.GetSpec())
		j.Route = orNew(j.GetRoute())
	}
	return m
}

func fillRead(m *protocol.ReadResponse) *protocol.ReadResponse {
	if m.GetHeader() == nil && m.GetFragment() == nil {
		return m
	}
	m = proto.CloneOf(m)
	if m.GetHeader() != nil {
		m.Header = fillHeader(m.GetHeader())
	}
	if f := m.GetFragment(); f != nil {
		f.Sum = orNew(f.GetSum())
	}
	return m
}

func fillHeader(h *protocol.Header) *protocol.Header {
	h = orNew(h)
	h.ProcessId = orNew(h.GetProcessId())
	h.Route = orNew(h.GetRoute())
	h.Etcd = orNew(h.GetEtcd())
	return h
}

func fillSpec(s *protocol.JournalSpec) *protocol.JournalSpec {
	s = orNew(s)
	s.Labels = orNew(s.GetLabels())
	s.Fragment = orNew(s.GetFragment())
	for _, d := range []**durationpb.Duration{
		&s.Fragment.RefreshInterval, &s.Fragment.Retention, &s.Fragment.FlushInterval,
	} {
		*d = orNew(*d)
	}
	return s
}

// orNew returns p, or an empty message if it is nil.
func orNew[M any](p *M) *M {
	if p == nil {
		return new(M)
	}
	return p
}
