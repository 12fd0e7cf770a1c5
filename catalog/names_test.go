package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
)

var errEscape = errors.New("not an escaped name")

// unescapeName is the inverse of escapeName, and refuses what that never returns.
func unescapeName(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%w: %q", errEscape, s)
		}
		high, low := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if high < 0 || low < 0 {
			return "", fmt.Errorf("%w: %q", errEscape, s)
		}
		b.WriteByte(byte(high<<4 | low)) //nolint:gosec // both are below 16
		i += 2
	}
	if name := b.String(); utf8.ValidString(name) && escapeName(name) == s {
		return name, nil
	}
	return "", fmt.Errorf("%w: %q", errEscape, s)
}

// identifiers are strings that PostgreSQL takes between double quotes.
func identifiers() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		s := rapid.StringOfN(rapid.OneOf(
			rapid.RuneFrom([]rune(`abcXYZ09_-./%+=" '#;:*\?<>|~&`)),
			rapid.RuneFrom([]rune("äßЯ漢字é́½٣\u200b\U0001F600\u0001\n")),
			rapid.Rune(),
		), 1, 63, 63).Draw(t, "identifier")
		return strings.ReplaceAll(s, "\x00", "_")
	})
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"clicks":     "clicks",
		"my-Table":   "my-Table",
		"a/b":        "a+2Fb",
		".":          "+2E",
		"..":         "+2E+2E",
		"100%+=":     "100+25+2B+3D",
		"größe":      "größe",
		"漢字":         "漢字",
		"a b\u200b":  "a+20b+E2+80+8B",
		"\U0001F600": "+F0+9F+98+80",
	} {
		require.Equal(t, want, escapeName(name))
		got, err := unescapeName(want)
		require.NoError(t, err)
		require.Equal(t, name, got)
	}
	for _, bad := range []string{"+", "+2", "+2f", "+GG", "a/b", "a+61", "+E2+80"} {
		_, err := unescapeName(bad)
		require.ErrorIs(t, err, errEscape, bad)
	}
}

// TestNamesFitJournals holds that every identifier has an escaped name of its own,
// that a journal of it is valid, and that the longest is.
func TestNamesFitJournals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		schemaName, name := identifiers().Draw(t, "schema"), identifiers().Draw(t, "table")
		require.NoError(t, validateIdentifier("table", name))
		got, err := unescapeName(escapeName(name))
		require.NoError(t, err)
		require.Equal(t, name, got)

		spec := testSpec(name)
		spec.Schema = schemaName
		table := spec.table(1<<62, []string{"file:///"})
		for _, journal := range journalNames(table.Journals, 2) {
			require.NoError(t, protocol.ValidateJournalName(journal))
			require.NoError(t, table.journalSpec(DefaultDatabase, journal).Validate())
			require.Equal(t, 2, strings.Count(journal, "/"))
		}
	})
	longest := strings.Repeat("\u200b", 21)
	require.Len(t, longest, maxIdentifier)
	spec := testSpec(longest)
	spec.Schema = longest
	table := spec.table(1<<62, nil)
	require.NoError(t, table.journalSpec(longest, journalNames(table.Journals, 1)[0]).Validate())
}

func TestIdentifiersAreChecked(t *testing.T) {
	require.NoError(t, validateIdentifier("table", strings.Repeat("x", 63)))
	for _, bad := range []string{"", strings.Repeat("x", 64), "a\x00b", "\xff"} {
		err := validateIdentifier("table", bad)
		require.ErrorIs(t, err, ErrInvalid)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, bad, e.Name)
	}
}

func FuzzUnescapeName(f *testing.F) {
	f.Add("a+2Fb")
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := unescapeName(s); err == nil {
			require.True(t, utf8.ValidString(name))
			require.Equal(t, s, escapeName(name))
		}
	})
}
