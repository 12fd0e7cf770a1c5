package auth_test

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// TestGolden: the tokens that docs/format/token.md prints are those that the keys it
// prints sign, and verify.
func TestGolden(t *testing.T) {
	page, err := os.ReadFile("../../docs/format/token.md")
	require.NoError(t, err)
	examples := regexp.MustCompile("(?s)```\nkeys  (\\S+)\ntoken (\\S+)\n```").FindAllStringSubmatch(string(page), -1)
	require.Len(t, examples, 2)
	claims := auth.Claims{
		Capability: auth.List | auth.Read,
		Scope: &protocol.LabelSelector{
			Include: &protocol.LabelSet{Labels: []*protocol.Label{{Name: "name", Value: "acme/", Prefix: true}}},
		},
		Expiry: time.Unix(1_700_003_600, 0),
	}
	for _, e := range examples {
		k := keys(t, e[1])
		token, err := k.Sign(claims, now)
		require.NoError(t, err)
		require.Equal(t, token, e[2])
		got, err := k.Verify(e[2], auth.List|auth.Read, now)
		require.NoError(t, err)
		require.Equal(t, "name:prefix=acme/", protocol.FormatLabelSelector(got.Scope))
	}
}
