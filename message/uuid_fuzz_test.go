package message_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/message"
)

// FuzzUUID: a text is a UUID that is written in the same text, but for case, or an error.
func FuzzUUID(f *testing.F) {
	for _, s := range []string{"8a3b1f60-7c1a-11ee-8002-0b0203040506", "8A3B1F60-7C1A-11EE-8002-0B0203040506", "00000000-0000-0000-0000-000000000000", "8a3b1f607c1a-11ee-8002-0b0203040506--", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := message.ParseUUID(s)
		if err != nil {
			return
		}
		require.NoError(t, u.Validate())
		require.Equal(t, strings.ToLower(s), u.String())
		again, err := message.ParseUUID(u.String())
		require.NoError(t, err)
		require.Equal(t, u, again)
	})
}
