package sql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// split a text that comes in pieces of so many bytes.
func split(text string, size int) []string {
	var s splitter
	var out []string
	for len(text) > 0 {
		n := min(size, len(text))
		s.add([]byte(text[:n]))
		text = text[n:]
		for statement, ok := s.next(); ok; statement, ok = s.next() {
			out = append(out, statement)
		}
	}
	if rest := s.rest(); rest != "" {
		out = append(out, rest)
	}
	return out
}

func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		"":                           nil,
		"select 1":                   {"select 1"},
		"a;b;":                       {"a", "b"},
		"a; -- the end":              {"a"},
		"a; /* the /* end */ of */ ": {"a"},
		"a; /* no end":               {"a", " /* no end"},
		"';'; x":                     {"';'", " x"},
		"'it''s;'; x":                {"'it''s;'", " x"},
		`'\'; x`:                     {`'\'`, " x"},
		`E'\';'; x`:                  {`E'\';'`, " x"},
		`type'\'; x`:                 {`type'\'`, " x"},
		`";"";"; x`:                  {`";"";"`, " x"},
		"$$;$$; x":                   {"$$;$$", " x"},
		"$a$;$$;$a$; x":              {"$a$;$$;$a$", " x"},
		"a$b$; $b$":                  {"a$b$", " $b$"},
		"$1; $2$;":                   {"$1", " $2$"},
		"-- ;\n1; x":                 {"-- ;\n1", " x"},
		"/* ; /* ; */ ; */ 1; x":     {"/* ; /* ; */ ; */ 1", " x"},
		"1 - 1; 1 / 1;":              {"1 - 1", " 1 / 1"},
		"select 'an ü;', $ü$;$ü$, \"ü\"; end": {"select 'an ü;', $ü$;$ü$, \"ü\"", " end"},
	} {
		for _, size := range []int{1, 2, 3, 1000} {
			require.Equal(t, want, split(text, size), "%q by %d", text, size)
		}
	}
}

// FuzzSplit: nothing is lost but semicolons, and pieces make no difference.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"a;b", "'a''b;'", "$x$;$x$;", "E'\\';';", "/* /* */ ; */;", "-- x\n;", "\"a\"\";\";"} {
		f.Add(seed, 1)
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		whole := split(text, len(text)+1)
		require.Equal(t, whole, split(text, max(size, 1)))
		if !isBlank(text) {
			require.True(t, strings.HasPrefix(text, strings.Join(whole, ";")))
		}
	})
}
