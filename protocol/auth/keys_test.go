package auth_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestParseKeys: what a keyring can do, by its text.
func TestParseKeys(t *testing.T) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	for text, want := range map[string]struct {
		signs, missing bool
		short          int
	}{
		b64(secret):                              {signs: true},
		"c2VjcmV0,b3RoZXIgc2VjcmV0":              {signs: true, short: 2},
		" \n" + b64(secret) + ",,AA==\t":         {signs: true, missing: true},
		"ed25519:" + b64(public):                 {},
		"ed25519:" + b64(spki):                   {},
		"AA==,ed25519:" + b64(public):            {missing: true},
		"ed25519-private:" + b64(private.Seed()): {signs: true},
		"ed25519-private:" + b64(pkcs8):          {signs: true},
	} {
		k, err := auth.ParseKeys(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want.signs, k.CanSign(), "%q", text)
		require.Equal(t, want.missing, k.AllowsMissing(), "%q", text)
		require.Equal(t, want.short, k.ShortSecrets(), "%q", text)
	}
}

// TestParseKeysRefused: errors name the key by its place, and never quote it.
func TestParseKeysRefused(t *testing.T) {
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	otherKind, err := x509.MarshalPKIXPublicKey(x25519.PublicKey())
	require.NoError(t, err)
	for text, want := range map[string]string{
		"":                                     "there is no key",
		",,":                                   "there is no key",
		"AA==":                                 "there is no key beside AA==, which only lets requests without a token through",
		b64(secret) + " not-base64!":           "key 2 of 2: it isn't base64",
		"c2VjcmV0=":                            "key 1 of 1: it isn't base64",
		"ed25519:":                             "key 1 of 1: it isn't the public key of Ed25519",
		"ed25519:c2VjcmV0":                     "key 1 of 1: it isn't the public key of Ed25519",
		"ed25519:" + b64(otherKind):            "key 1 of 1: it isn't the public key of Ed25519",
		"ed25519-private:c2VjcmV0":             "key 1 of 1: it isn't the private key of Ed25519",
		"ed25519-private:" + b64(private):      "key 1 of 1: it isn't the private key of Ed25519",
		"rsa:" + b64(secret):                   "key 1 of 1: before the colon there may be ed25519 or ed25519-private",
		":" + b64(secret) + ",AA==":            "key 1 of 2: before the colon there may be ed25519 or ed25519-private",
		"ed25519:" + b64(public) + " ed25519:": "key 2 of 2: it isn't the public key of Ed25519",
	} {
		_, err := auth.ParseKeys(text)
		require.EqualError(t, err, want, "%q", text)
	}
}

// TestKeysArentPrinted: a keyring in a log or an error tells no key.
func TestKeysArentPrinted(t *testing.T) {
	k := keys(t, b64(secret))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, "auth.Keyring", fmt.Sprintf(verb, k))
	}
	var none *auth.Keyring
	require.True(t, none.AllowsMissing())
	require.False(t, none.CanSign())
	require.Zero(t, none.ShortSecrets())
}
