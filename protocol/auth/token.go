package auth

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// Leeway is by how much clocks may differ.
	Leeway = 5 * time.Second
	// MaxToken is the most bytes of a token.
	MaxToken = 16 << 10
)

// ErrMissing tells that a request has no token. Its text is Gazette's.
var ErrMissing = errors.New("missing or empty Authorization token")

// ErrUnsigned tells that a keyring has no key that could sign.
var ErrUnsigned = errors.New("no key can sign a token: there are public keys only")

// InvalidError tells that a token isn't good, and why.
type InvalidError struct{ Reason string }

// Error has the reason. It never has a part of the token.
func (e *InvalidError) Error() string { return "invalid Authorization token: " + e.Reason }

// CapabilityError tells that a token is good, but not for this.
type CapabilityError struct{ Missing Capability }

// Error names what is missing.
func (e *CapabilityError) Error() string {
	return "Authorization token doesn't allow this: it lacks the capability " + e.Missing.String()
}

// Sign returns a token of the claims, issued now.
func (k *Keyring) Sign(c Claims, now time.Time) (string, error) {
	p, err := newPayload(c, now)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	var method jwt.SigningMethod = jwt.SigningMethodHS256
	switch k.signer.(type) {
	case nil:
		return "", ErrUnsigned
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	}
	token, err := jwt.NewWithClaims(method, p).SignedString(k.signer)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return token, nil
}

// Verify returns the claims of a token that is good at a time, and allows what is
// wanted. Its errors are an InvalidError or a CapabilityError.
func (k *Keyring) Verify(token string, want Capability, now time.Time) (Claims, error) {
	if len(token) > MaxToken {
		return Claims{}, &InvalidError{fmt.Sprintf("it has more than %d bytes", MaxToken)}
	}
	parser := jwt.NewParser(
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(Leeway),
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithStrictDecoding(),
	)
	var p payload
	if _, err := parser.ParseWithClaims(token, &p, k.keysOf); err != nil {
		return Claims{}, &InvalidError{reason(err)}
	}
	c, err := p.claims()
	if err != nil {
		return Claims{}, &InvalidError{err.Error()}
	}
	if missing := want &^ c.Capability; missing != 0 {
		return Claims{}, &CapabilityError{missing}
	}
	return c, nil
}

// keysOf are the keys that may verify a token: those of its algorithm, so that a
// public key is never taken for a secret. There are none for any other algorithm.
func (k *Keyring) keysOf(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errCritical
	}
	var keys jwt.VerificationKeySet
	switch t.Method {
	case jwt.SigningMethodHS256, jwt.SigningMethodHS384:
		for _, s := range k.secrets {
			keys.Keys = append(keys.Keys, s)
		}
	case jwt.SigningMethodEdDSA:
		for _, p := range k.publics {
			keys.Keys = append(keys.Keys, p)
		}
	}
	if len(keys.Keys) == 0 {
		return nil, errNoSuchKey
	}
	return keys, nil
}

var (
	errCritical  = errors.New("its header demands an extension (crit)")
	errNoSuchKey = errors.New("there is no key of its algorithm (alg), which is one of HS256, HS384 and EdDSA")
)

// reason why a token isn't good, without any of its content.
func reason(err error) string {
	for _, r := range []struct {
		err  error
		text string
	}{
		{errCritical, errCritical.Error()},
		{errNoSuchKey, errNoSuchKey.Error()},
		{jwt.ErrTokenSignatureInvalid, "no key verifies its signature"},
		{jwt.ErrTokenUnverifiable, errNoSuchKey.Error()},
		{jwt.ErrTokenMalformed, "it isn't a JSON Web Token with these claims"},
		{jwt.ErrTokenExpired, "it has expired"},
		{jwt.ErrTokenRequiredClaimMissing, "it has no expiry (exp)"},
		{jwt.ErrTokenUsedBeforeIssued, "it was issued in the future (iat)"},
		{jwt.ErrTokenNotValidYet, "it isn't good yet (nbf)"},
	} {
		if errors.Is(err, r.err) {
			return r.text
		}
	}
	return "it can't be verified"
}

// Bearer is the token of the values of the header Authorization, or ErrMissing.
func Bearer(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", ErrMissing
	case 1:
	default:
		return "", &InvalidError{"there is more than one"}
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if token = strings.TrimSpace(token); token == "" || !strings.EqualFold(scheme, "Bearer") {
		return "", ErrMissing
	}
	return token, nil
}
