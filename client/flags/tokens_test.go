package flags

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

const secret = "dGhlIHNlY3JldCBvZiB0aGVzZSB0ZXN0cw=="

// TestSignedTokens allow what the request asks for, for its journal alone, and not for long.
func TestSignedTokens(t *testing.T) {
	keys, err := auth.ParseKeys(secret)
	require.NoError(t, err)
	now := time.Unix(1_800_000_000, 0)
	s := signing{keys: keys, now: func() time.Time { return now }}
	verified := func(journal string, capability auth.Capability) auth.Claims {
		t.Helper()
		value, err := s.Authorization(t.Context(), journal, uint32(capability))
		require.NoError(t, err)
		token, err := auth.Bearer([]string{value})
		require.NoError(t, err)
		claims, err := keys.Verify(token, capability, now)
		require.NoError(t, err)
		_, err = keys.Verify(token, auth.Replicate, now)
		require.Error(t, err)
		return claims
	}
	read := verified("a/journal", auth.Read)
	require.True(t, read.InScope(protocol.MustLabelSet("name", "a/journal")))
	require.False(t, read.InScope(protocol.MustLabelSet("name", "another")))
	require.Equal(t, now.Add(time.Hour), read.Expiry.Local())
	apply := verified("", auth.Apply)
	require.True(t, apply.Unscoped())
	require.Equal(t, now.Add(time.Minute), apply.Expiry.Local())
}

// TestKeysThatCantSign are refused, and never quoted; nor are a token and keys taken together.
func TestKeysThatCantSign(t *testing.T) {
	for _, c := range []struct{ keys, token, want string }{
		{keys: "ed25519:XitrxkLhSQ6eJ4qNajI4AbpMRN9U4cQQ5Bx2hX3GyPo=", want: "--broker.auth-keys: none of the keys can sign"},
		{keys: "not base64!", want: "--broker.auth-keys: "},
		{keys: secret, token: "a", want: "--broker.auth-token is given, too"},
	} {
		_, err := Credentials(c.keys, c.token)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "base64!")
	}
	none, err := Credentials("", "")
	require.NoError(t, err)
	require.Nil(t, none)
}
