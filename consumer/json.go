package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

const (
	// jsonPrefix is what the paths of the JSON gateway begin with.
	jsonPrefix = "/v1/shards/"
	// jsonLimit is the most bytes of a request's body.
	jsonLimit = 1 << 20
)

// jsonGateway serves POST of /v1/shards/list and /v1/shards/stat: the RPCs List and Stat, with their messages in JSON as
// Gazette's gateway writes them.
type jsonGateway struct {
	host    *Host
	service *service
}

// ServeHTTP as of http.Handler.
func (g *jsonGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.host.allowOrigin(w, r, http.MethodPost)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	var want auth.Capability
	var run func(ctx context.Context, body []byte) (proto.Message, error)
	switch strings.TrimPrefix(r.URL.Path, jsonPrefix) {
	case "list":
		want, run = auth.List, g.list
	case "stat":
		want, run = auth.Read, g.stat
	default:
		refuse(w, r, http.StatusNotFound, status.Newf(codes.NotFound, "%s isn't there", r.URL.Path), "there are "+g.host.paths())
		return
	}
	ctx, cancel, ok := g.host.admitJSON(w, r, http.MethodPost, want)
	if !ok {
		return
	}
	defer cancel()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, jsonLimit))
	if err != nil {
		finishJSON(w, nil, status.Errorf(codes.InvalidArgument, "%s: the body of the request isn't whole: %v", r.URL.Path, err))
		return
	}
	m, err := run(ctx, body)
	finishJSON(w, m, err)
}

// allowOrigin says which pages may read the answer, and how they may ask.
func (h *Host) allowOrigin(w http.ResponseWriter, r *http.Request, method string) {
	origins, origin := h.cfg.AllowOrigins, r.Header.Get("Origin")
	if len(origins) == 0 {
		return
	}
	out := w.Header()
	out.Add("Vary", "Origin")
	if origin == "" || !slices.Contains(origins, origin) && !slices.Contains(origins, "*") {
		return
	}
	out.Set("Access-Control-Allow-Origin", origin)
	if r.Method == http.MethodOptions {
		out.Set("Access-Control-Allow-Methods", method)
		out.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		out.Set("Access-Control-Max-Age", "600")
	}
}

func (g *jsonGateway) list(ctx context.Context, body []byte) (proto.Message, error) {
	req := new(shards.ListRequest)
	if err := decodeJSON(body, req); err != nil {
		return nil, err
	}
	r, err := g.service.List(ctx, req)
	if err != nil {
		return nil, err
	}
	r = proto.CloneOf(r)
	r.Header = fillHeader(r.GetHeader())
	for _, s := range r.GetShards() {
		s.Spec.Labels = orNew(s.GetSpec().GetLabels())
		s.Spec.MinTxnDuration = orNew(s.GetSpec().GetMinTxnDuration())
	}
	return r, nil
}

func (g *jsonGateway) stat(ctx context.Context, body []byte) (proto.Message, error) {
	req := new(shards.StatRequest)
	if err := decodeJSON(body, req); err != nil {
		return nil, err
	}
	r, err := g.service.Stat(ctx, req)
	if err != nil {
		return nil, err
	}
	r = proto.CloneOf(r)
	r.Header = fillHeader(r.GetHeader())
	return r, nil
}

// decodeJSON reads a request. An empty one is the message's zero value.
func decodeJSON(body []byte, into proto.Message) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := protojson.Unmarshal(body, into); err != nil {
		// The library puts spaces of either kind there, so that nobody relies on its text.
		text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
		return status.Errorf(codes.InvalidArgument, "%s: %s", into.ProtoReflect().Descriptor().Name(), strings.TrimPrefix(text, "proto: "))
	}
	return nil
}

// finishJSON answers with a message, or with an error.
func finishJSON(w http.ResponseWriter, m proto.Message, err error) {
	var text []byte
	if err == nil {
		text, err = protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	}
	var out bytes.Buffer
	if err == nil {
		err = json.Compact(&out, text) // The library adds spaces here and there.
	}
	if err != nil {
		s, _ := status.FromError(err)
		if _, invalid := errors.AsType[*protocol.ValidationError](err); invalid {
			s = status.New(codes.InvalidArgument, err.Error())
		}
		writeJSONError(w, httpCode(s.Code()), s)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out.Bytes()) // A client that is gone can't be told.
}

// writeJSONError in the shape of Gazette's gateway.
func writeJSONError(w http.ResponseWriter, code int, s *status.Status) {
	text, err := json.Marshal(map[string]any{
		"error": s.Message(), "code": int(s.Code()), "message": s.Message(), "details": []string{},
	})
	if err != nil {
		return // It can't be: there are numbers and text.
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n'))
}

// httpCode of an error, as gRPC's gateways choose it.
func httpCode(c codes.Code) int {
	switch c {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.Canceled:
		return http.StatusRequestTimeout
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.NotFound:
		return http.StatusNotFound
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

// fillHeader with the parts that Gazette's messages hold by value, and so write even if nothing is in them.
func fillHeader(h *protocol.Header) *protocol.Header {
	h = orNew(h)
	h.ProcessId = orNew(h.GetProcessId())
	h.Route = orNew(h.GetRoute())
	h.Etcd = orNew(h.GetEtcd())
	return h
}

// orNew returns p, or an empty message if it is nil.
func orNew[M any](p *M) *M {
	if p == nil {
		return new(M)
	}
	return p
}
