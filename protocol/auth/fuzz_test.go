package auth_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// FuzzVerify: no text is taken for a good token unless its signature is one of ours,
// and what it then claims can be signed again.
func FuzzVerify(f *testing.F) {
	k := keys(f, b64(secret)+" ed25519-private:"+b64(private.Seed()))
	f.Add(byHand(hs256, good, mac(sha256.New, secret)))
	f.Add(byHand(eddsa, good, edSign))
	f.Add(byHand(hs384, good, mac(sha512.New384, secret)))
	f.Add(byHand(`{"alg":"none"}`, good, func(string) []byte { return nil }))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := k.Verify(token, 0, now)
		if err != nil {
			require.ErrorAs(t, err, new(*auth.InvalidError))
			return
		}
		at := strings.LastIndexByte(token, '.')
		text := token[:at]
		signature, err := base64.RawURLEncoding.DecodeString(token[at+1:])
		require.NoError(t, err)
		require.True(t, hmac.Equal(signature, mac(sha256.New, secret)(text)) ||
			hmac.Equal(signature, mac(sha512.New384, secret)(text)) ||
			ed25519.Verify(public, []byte(text), signature), "a token that we didn't sign")
		resign(t, k, c)
	})
}

// FuzzClaims: claims of any content, rightly signed, are refused or are good as they
// are: verified, signed and verified again they say the same.
func FuzzClaims(f *testing.F) {
	k := keys(f, b64(secret))
	f.Add(good)
	f.Add(`{"cap":4294967295,"exp":1700000001.5,"sel":{"include":{"labels":[{"name":"zz"},{"name":"aa","value":"=%"}]}}}`)
	f.Add(`{"exp":9e18,"iat":null,"sel":null}`)
	f.Fuzz(func(t *testing.T, claims string) {
		c, err := k.Verify(byHand(hs256, claims, mac(sha256.New, secret)), 0, now)
		if err != nil {
			require.ErrorAs(t, err, new(*auth.InvalidError))
			return
		}
		resign(t, k, c)
	})
}

func resign(t *testing.T, k *auth.Keyring, c auth.Claims) {
	t.Helper()
	require.False(t, c.Expiry.Add(auth.Leeway).Before(now))
	if c.Expiry.Unix() > 1<<40 {
		return // JSON has it as a fraction, which isn't exact any more
	}
	token, err := k.Sign(c, now)
	require.NoError(t, err)
	again, err := k.Verify(token, c.Capability, now)
	require.NoError(t, err)
	require.Equal(t, protocol.FormatLabelSelector(c.Scope), protocol.FormatLabelSelector(again.Scope))
	require.Equal(t, c.Expiry.Unix(), again.Expiry.Unix())
}

// FuzzParseKeys: any text is keys or an error, and keys that can sign do.
func FuzzParseKeys(f *testing.F) {
	f.Add(b64(secret) + ",AA== ed25519:" + b64(public))
	f.Add("ed25519-private:" + b64(private.Seed()))
	f.Add("ed25519:\n=")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := auth.ParseKeys(text)
		if err != nil || !k.CanSign() {
			return
		}
		token, err := k.Sign(auth.Claims{Capability: auth.All, Expiry: now.Add(auth.Leeway)}, now)
		require.NoError(t, err)
		_, err = k.Verify(token, auth.All, now)
		require.NoError(t, err)
	})
}
