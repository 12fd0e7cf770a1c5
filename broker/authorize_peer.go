package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"broadsheet.dev/broadsheet/protocol/auth"
)

// peerToken is how long a token that this broker signs by itself is good.
const peerToken = time.Hour

// signer signs what a broker asks of its peers.
type signer struct {
	keys *auth.Keyring // nil signs nothing, and nothing is asked for
	now  func() time.Time
	who  string // the broker, for who reads a token
}

// replicate returns the context of a Replicate stream to a peer, of one journal.
func (s *signer) replicate(ctx context.Context, journal string) (context.Context, error) {
	if s.keys == nil {
		return ctx, nil
	}
	out, err := s.sign(ctx, auth.Replicate, journal, s.now().Add(peerToken))
	if err != nil {
		return nil, fmt.Errorf("replicate journal %s: %w", journal, err)
	}
	return out, nil
}

// proxy returns the context of a request that is passed on to a peer, whose context is
// that of the client's request: the peer is told to allow just this, for this journal,
// and until the client's own token ends. A broker that can't sign passes the client's
// token on.
func (s *signer) proxy(ctx context.Context, want auth.Capability, journal string) (context.Context, error) {
	if s.keys == nil {
		return ctx, nil
	}
	expiry := s.now().Add(peerToken)
	if claims, ok := auth.FromContext(ctx); ok {
		expiry = claims.Deadline(s.now())
	}
	out, err := s.sign(ctx, want, journal, expiry)
	if errors.Is(err, auth.ErrUnsigned) {
		token, ok := ctx.Value(tokenKey{}).(string)
		if ok {
			return auth.WithToken(ctx, token), nil
		}
		if s.keys.AllowsMissing() {
			return ctx, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("proxy a request for journal %s: %w", journal, err)
	}
	return out, nil
}

func (s *signer) sign(ctx context.Context, want auth.Capability, journal string, expiry time.Time) (context.Context, error) {
	claims := auth.ForJournal(want, journal, expiry)
	claims.Issuer = s.who
	token, err := s.keys.Sign(claims, s.now())
	if err != nil {
		return nil, err
	}
	return auth.WithToken(ctx, token), nil
}
