package flags

import (
	"context"
	"fmt"
	"time"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// How long a signed token is good for: a read may last, a change of specs doesn't.
const (
	tokenTTL      = time.Hour
	tokenTTLApply = time.Minute
)

// Credentials that brokers are shown, of --broker.auth-keys and --broker.auth-token; nil is none.
func Credentials(authKeys, authToken string) (client.Credentials, error) {
	return CredentialsFor("broker", authKeys, authToken)
}

// CredentialsFor is Credentials of the flags of another group of servers.
func CredentialsFor(group, authKeys, authToken string) (client.Credentials, error) {
	switch {
	case authKeys != "" && authToken != "":
		return nil, speech.WithHint(fmt.Errorf("--%s.auth-keys: --%s.auth-token is given, too", group, group), "give one of them")
	case authToken != "":
		return bearer(authToken), nil
	case authKeys == "":
		return nil, nil //nolint:nilnil // as is said above
	}
	keys, err := auth.ParseKeys(authKeys)
	if err != nil {
		return nil, fmt.Errorf("--%s.auth-keys: %w", group, err)
	}
	if !keys.CanSign() {
		return nil, speech.WithHint(fmt.Errorf("--%s.auth-keys: none of the keys can sign", group), "put a shared secret, or a private key, first")
	}
	return signing{keys: keys, now: time.Now}, nil
}

// bearer is a token that was given.
type bearer string

// Authorization is the same for all journals: what the token allows is the broker's to tell.
func (b bearer) Authorization(context.Context, string, uint32) (string, error) {
	return "Bearer " + string(b), nil
}

// signing makes a token for each request, that allows just that.
type signing struct {
	keys *auth.Keyring
	now  func() time.Time
}

// Authorization for one journal, or for all where the request isn't about one.
func (s signing) Authorization(_ context.Context, journal string, capability uint32) (string, error) {
	now, ttl := s.now(), tokenTTL
	if auth.Capability(capability) == auth.Apply {
		ttl = tokenTTLApply
	}
	claims := auth.Claims{Capability: auth.Capability(capability), Expiry: now.Add(ttl)}
	if journal != "" {
		claims = auth.ForJournal(claims.Capability, journal, claims.Expiry)
	}
	token, err := s.keys.Sign(claims, now)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return "Bearer " + token, nil
}
