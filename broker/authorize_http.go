package broker

import (
	"errors"
	"net/http"

	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol/auth"
)

// serve lets a request over HTTP in, by the same rules as one of gRPC, or answers that
// it isn't.
func (d *door) serve(w http.ResponseWriter, r *http.Request, want auth.Capability, next http.HandlerFunc) {
	ctx, cancel, err := d.admit(r.Context(), r.Header.Values(auth.Header), want)
	if err != nil {
		writeDenial(w, err)
		return
	}
	defer cancel()
	next(w, r.WithContext(ctx))
}

// unscoped is like serve, for what tells of all journals: a token with a scope doesn't
// allow it.
func (d *door) unscoped(want auth.Capability, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d.serve(w, r, want, func(w http.ResponseWriter, r *http.Request) {
			if claims, ok := auth.FromContext(r.Context()); ok && !claims.Unscoped() {
				writeDenial(w, d.deny(errScoped))
				return
			}
			next(w, r)
		})
	}
}

var errScoped = errors.New("Authorization token doesn't allow this: it has a scope, and this tells of all journals") //nolint:staticcheck // the name of a header

// writeDenial answers a request whose token isn't good enough.
func writeDenial(w http.ResponseWriter, err error) {
	challenge(w)
	s, _ := status.FromError(err)
	writeError(w, http.StatusUnauthorized, s.Message(), "send the header 'Authorization: Bearer <token>', with a token that allows this and hasn't expired")
}

// challenge tells a client over HTTP how it could be let in.
func challenge(w http.ResponseWriter) { w.Header().Set("Www-Authenticate", "Bearer") }
