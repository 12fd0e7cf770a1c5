package guest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// maxBody is the most bytes of a request's body. What is in it is no larger as a message of gRPC, so that a host which isn't the
// primary can pass it on.
const maxBody = 3 << 20

// Handlers are the service over HTTP, in JSON.
func (a *App) Handlers() []consumer.Handler {
	s := &service{app: a}
	of := func(method, path string, wants auth.Capability, do func(w http.ResponseWriter, r *http.Request) (any, error)) consumer.Handler {
		return consumer.Handler{Method: method, Path: path, Wants: wants, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			out, err := do(w, r)
			finish(w, out, err)
		})}
	}
	return []consumer.Handler{
		of(http.MethodGet, "/v1/shards/transaction", auth.Read|auth.Append, s.httpTake),
		of(http.MethodPost, "/v1/shards/commit", auth.Read|auth.Append, s.httpCommit),
		of(http.MethodGet, "/v1/shards/state", auth.Read, s.httpState),
		of(http.MethodPost, "/v1/shards/lookup", auth.Read, s.httpLookUp),
	}
}

func (s *service) httpTake(_ http.ResponseWriter, r *http.Request) (any, error) {
	// A browser asks for an image of another site's page without an Origin, and lets that page know nothing of it; but a transaction would be taken.
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case site == "", site == "same-origin", site == "none", r.Header.Get("Origin") != "":
	default:
		return nil, status.Error(codes.PermissionDenied, "pages of other sites may not take transactions, but by fetch from an allowed origin")
	}
	q, err := queryOf(r, "shard", "wait", "lease")
	if err != nil {
		return nil, err
	}
	req := &shardv1.TakeRequest{Shard: q.Get("shard")}
	for name, into := range map[string]*int64{"wait": &req.WaitMs, "lease": &req.LeaseMs} {
		if !q.Has(name) {
			continue
		}
		d, err := time.ParseDuration(q.Get(name))
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "%s: %q isn't a duration, as 30s", name, q.Get(name))
		}
		if d != 0 && d.Abs() < time.Millisecond {
			return nil, status.Errorf(codes.InvalidArgument, "%s: %s is less than a millisecond", name, d)
		}
		*into = d.Milliseconds()
	}
	out, err := s.Take(r.Context(), req)
	if err != nil || out.GetToken() == "" {
		return nil, err
	}
	return transactionOf(out), nil
}

func (s *service) httpCommit(w http.ResponseWriter, r *http.Request) (any, error) {
	body, err := bodyOf(w, r)
	if err != nil {
		return nil, err
	}
	req, err := decodeCommit(body)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if _, err := s.Commit(r.Context(), req); err != nil {
		return nil, err
	}
	return map[string]bool{"committed": req.GetFailure() == nil}, nil
}

// bodyOf a request.
func bodyOf(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, status.Errorf(codes.InvalidArgument, "the body of the request has more than %d bytes", maxBody)
		}
		return nil, status.Errorf(codes.InvalidArgument, "the body of the request isn't whole: %v", err)
	}
	return body, nil
}

// httpLookUp is httpState of more keys than an address has room for.
func (s *service) httpLookUp(w http.ResponseWriter, r *http.Request) (any, error) {
	body, err := bodyOf(w, r)
	if err != nil {
		return nil, err
	}
	req, err := decodeLookUp(body)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	out := new(shardv1.ReadResponse)
	if len(req.GetKeys()) > 0 { // Without keys it would be all of the state.
		if out, err = s.Read(r.Context(), req); err != nil {
			return nil, err
		}
	}
	return stateOf(out), nil
}

func (s *service) httpState(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := queryOf(r, "shard", "key", "prefix", "after", "limit")
	if err != nil {
		return nil, err
	}
	req := &shardv1.ReadRequest{Shard: q.Get("shard"), Prefix: []byte(q.Get("prefix")), After: []byte(q.Get("after"))}
	for _, key := range q["key"] {
		req.Keys = append(req.Keys, []byte(key))
	}
	if len(req.GetKeys()) > 0 && (q.Has("prefix") || q.Has("after") || q.Has("limit")) {
		return nil, status.Error(codes.InvalidArgument, "key: can't be with prefix, after and limit")
	}
	if q.Has("limit") {
		n, err := strconv.ParseUint(q.Get("limit"), 10, 32)
		if err != nil || n == 0 || n > maxEntries {
			return nil, status.Errorf(codes.InvalidArgument, "limit: isn't of 1 to %d", maxEntries)
		}
		req.Limit = uint32(n)
	}
	out, err := s.Read(r.Context(), req)
	if err != nil {
		return nil, err
	}
	return stateOf(out), nil
}

// queryOf a request: parameters that nobody knows are refused.
func queryOf(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "query: %v", err)
	}
next:
	for name, values := range q {
		for _, k := range known {
			if name == k && (len(values) == 1 || name == "key") {
				continue next
			}
		}
		return nil, status.Errorf(codes.InvalidArgument, "%s: isn't a parameter of this request, or is there twice", name)
	}
	return q, nil
}

// finish an answer: nothing is 204.
func finish(w http.ResponseWriter, out any, err error) {
	if err != nil {
		s, _ := status.FromError(err)
		code, hint := httpCode(s.Code())
		consumer.WriteError(w, code, s, hint)
		return
	}
	if out == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(out) // A client that is gone can't be told.
}

// httpCode of an error, and what to do about it.
func httpCode(c codes.Code) (int, string) {
	switch c {
	case codes.InvalidArgument:
		return http.StatusBadRequest, "correct the request; a transaction that was taken is still yours until its lease ends"
	case codes.FailedPrecondition:
		return http.StatusBadRequest, "the shard isn't run by `broadsheet consumer` or `broadsheet serve`"
	case codes.NotFound:
		return http.StatusNotFound, "make it first: `broadsheet shards apply`, or `broadsheet journals apply`"
	case codes.Aborted:
		return http.StatusConflict, "forget what you did for the transaction, and GET /v1/shards/transaction again"
	case codes.PermissionDenied:
		return http.StatusForbidden, "a journal is to be among the shard's labels " + LabelOutputs + ", an origin be allowed by the host's operator"
	case codes.Unauthenticated:
		return http.StatusUnauthorized, "send a token that allows READ and APPEND"
	case codes.Canceled, codes.DeadlineExceeded:
		return http.StatusGatewayTimeout, "try again"
	case codes.Unavailable, codes.Unimplemented:
		return http.StatusServiceUnavailable, "try again in a moment: the shard moves or is begun anew; see `broadsheet shards list`"
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests, "send less at once"
	default:
		return http.StatusInternalServerError, "see the log of the host"
	}
}
