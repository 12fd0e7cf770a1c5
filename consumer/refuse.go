package consumer

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol/auth"
)

// WriteError answers a request over HTTP with an error: what is wrong, gRPC's name of its code, and what to do. All errors of requests
// below HandlerPrefix are so, but those of list and stat, which are as Gazette's gateway has them.
func WriteError(w http.ResponseWriter, code int, s *status.Status, hint string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(map[string]string{"error": s.Message(), "code": s.Code().String(), "hint": hint}) // A client that is gone can't be told.
}

// refuse a request that comes to no handler.
func refuse(w http.ResponseWriter, r *http.Request, code int, s *status.Status, hint string) {
	switch r.URL.Path {
	case jsonPrefix + "list", jsonPrefix + "stat":
		writeJSONError(w, code, s)
	default:
		WriteError(w, code, s, hint)
	}
}

// paths that there are below HandlerPrefix.
func (h *Host) paths() string {
	all := []string{http.MethodPost + " " + jsonPrefix + "list", http.MethodPost + " " + jsonPrefix + "stat"}
	for _, own := range h.cfg.Handlers {
		all = append(all, own.Method+" "+own.Path)
	}
	return strings.Join(all, ", ")
}

// admitJSON lets a request with a method in, by its token. It is false if it has been answered.
func (h *Host) admitJSON(w http.ResponseWriter, r *http.Request, method string, want auth.Capability) (context.Context, context.CancelFunc, bool) {
	switch r.Method {
	case method:
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return nil, nil, false
	default:
		w.Header().Set("Allow", "OPTIONS, "+method)
		refuse(w, r, http.StatusMethodNotAllowed, status.Newf(codes.Unimplemented, "method %s is not supported: use %s", r.Method, method), "use "+method)
		return nil, nil, false
	}
	ctx, cancel, err := h.door.admit(r.Context(), r.Header.Values(auth.Header), want)
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, r, http.StatusUnauthorized, status.Convert(err), "send a token that allows "+want.String()+", as Authorization: Bearer TOKEN")
		return nil, nil, false
	}
	return ctx, cancel, true
}

// admitted lets a request of the application's own in.
func (h *Host) admitted(own Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.allowOrigin(w, r, own.Method)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		ctx, cancel, ok := h.admitJSON(w, r, own.Method, own.Wants)
		if !ok {
			return
		}
		defer cancel()
		own.ServeHTTP(w, r.WithContext(ctx))
	})
}
