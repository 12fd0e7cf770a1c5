package formats

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// block is the content of the page's block of a kind.
func block(t *testing.T, kind string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/format/formats.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "```"+kind+"\n")
	require.True(t, ok)
	content, _, _ := strings.Cut(rest, "```")
	return content
}

// TestDocument: the examples of docs/format/formats.md are what it says they are.
func TestDocument(t *testing.T) {
	schema := schemaOf(t, csvSpec(t, "header", "true"), named(t, "id int not null, name text"))
	for line := range strings.Lines(block(t, "csv")) {
		content, want := strings.TrimRight(line[:20], " "), strings.TrimSuffix(line[20:], "\n")
		got := strings.TrimPrefix(strings.Join(read(t, schema, content+"\n"), "\n"), "!")
		if got == "" {
			got = "no row"
		}
		require.Equal(t, want, got, content)
	}

	frame, err := hex.DecodeString(strings.Join(strings.Fields(block(t, "frame")), ""))
	require.NoError(t, err)
	orders := schemaOf(t, protoSpec(t, "shop.Order"), named(t, "id int, tags text[]"))
	require.Equal(t, []string{"7|{a,b}"}, read(t, orders, string(frame)))
	require.Equal(t, string(frame), frames(t, encoded(t, messageType(t, "shop.Order"), `id: 7 tags: ["a", "b"]`)))
}
