package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

const (
	// jsonPrefix is what the paths of the JSON gateway begin with.
	jsonPrefix = "/v1/"
	// jsonLimit is the most bytes of a request's body.
	jsonLimit = 1 << 20
)

// isJSONMethod tells whether a request below jsonPrefix is one of the gateway. Journals
// may have such names too, and are read and written as any other.
func isJSONMethod(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodPut
}

// jsonGateway serves POST of /v1/journals/list and /v1/journals/read: the RPCs List and
// Read, with their messages in JSON as Gazette's gateway writes them, for browsers and
// whoever has no gRPC. The pages of some origins may use it.
type jsonGateway struct {
	broker  *Broker
	origins []string
	methods map[string]jsonMethod // by path
}

// jsonMethod is an RPC that answers with a stream.
type jsonMethod struct {
	want auth.Capability
	run  func(ctx context.Context, body []byte, out *jsonStream) error
}

func newJSONGateway(b *Broker) *jsonGateway {
	g := &jsonGateway{broker: b, origins: b.cfg.AllowOrigins}
	g.methods = map[string]jsonMethod{
		jsonPrefix + "journals/list": {auth.List, g.list},
		jsonPrefix + "journals/read": {auth.Read, g.read},
	}
	return g
}

// ServeHTTP as of http.Handler.
func (g *jsonGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.allowOrigin(w, r)
	out := &jsonStream{w: w, control: http.NewResponseController(w)}
	method, ok := g.methods[r.URL.Path]
	switch {
	case !ok:
		out.fail(http.StatusNotFound, status.Errorf(codes.NotFound, "%s isn't a method of this gateway", r.URL.Path))
		return
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "OPTIONS, POST")
		out.fail(http.StatusMethodNotAllowed, status.Errorf(codes.Unimplemented, "method %s is not supported: use POST", r.Method))
		return
	}
	ctx, cancel, err := g.broker.door.admit(r.Context(), r.Header.Values(auth.Header), method.want)
	if err != nil {
		challenge(w)
		out.finish(err)
		return
	}
	defer cancel()
	out.patience = patience{wait: g.broker.cfg.IdleTimeout, ctx: ctx}
	body, err := g.body(r, out)
	if err == nil {
		err = method.run(ctx, body, out)
	}
	out.finish(err)
}

// allowOrigin says which pages may read the answer, and how they may ask.
func (g *jsonGateway) allowOrigin(w http.ResponseWriter, r *http.Request) {
	if len(g.origins) == 0 {
		return
	}
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(g.origins, origin) && !slices.Contains(g.origins, "*") {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", http.MethodPost)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", "600")
	}
}

// validateOrigins tells which isn't an origin: a scheme and a host, and maybe a port.
func validateOrigins(origins []string) error {
	for _, o := range origins {
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o) {
			return fmt.Errorf("allowed origin %q isn't one: it is as in https://example.com, or *", o)
		}
	}
	return nil
}

// body of a request, which is bounded.
func (g *jsonGateway) body(r *http.Request, out *jsonStream) ([]byte, error) {
	if err := out.control.SetReadDeadline(out.patience.deadline()); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, jsonLimit+1))
	switch {
	case err != nil:
		return nil, status.Errorf(codes.InvalidArgument, "%s: the body of the request isn't whole: %v", r.URL.Path, err)
	case len(body) > jsonLimit:
		return nil, status.Errorf(codes.InvalidArgument, "%s: the body of the request has more than %d bytes", r.URL.Path, jsonLimit)
	}
	return body, nil
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

func (g *jsonGateway) list(ctx context.Context, body []byte, out *jsonStream) error {
	req := new(protocol.ListRequest)
	return g.broker.observe("List", func() (protocol.Status, error) {
		if err := decodeJSON(body, req); err != nil {
			return protocol.Status_OK, err
		}
		return protocol.Status_OK, g.broker.list(ctx, req, func(m *protocol.ListResponse) error {
			return out.send(fillList(m))
		})
	})
}

func (g *jsonGateway) read(ctx context.Context, body []byte, out *jsonStream) error {
	req := new(protocol.ReadRequest)
	return g.broker.observe("Read", func() (protocol.Status, error) {
		if err := decodeJSON(body, req); err != nil {
			return protocol.Status_OK, err
		}
		last := protocol.Status_OK
		err := g.broker.read(ctx, req, func(m *protocol.ReadResponse) error {
			last = m.GetStatus()
			return out.send(fillRead(m))
		})
		return last, err
	})
}

// jsonError makes an error one with a code that says whose fault it is.
func jsonError(err error) *status.Status {
	if _, ok := errors.AsType[*protocol.ValidationError](err); ok {
		return status.New(codes.InvalidArgument, err.Error())
	}
	s, _ := status.FromError(rpcError(err))
	return s
}
