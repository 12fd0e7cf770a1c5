package duck

import (
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzTemplates: any text and template of to_char and to_timestamp is answered, or is an error that the client can be told.
func FuzzTemplates(f *testing.F) {
	for _, c := range [][2]string{
		{"2024-02-29", "YYYY-MM-DD"},
		{"05 Dec 2000", "DD Mon YYYY"},
		{"12:30 PM", "HH12:MI AM"},
		{"-12345.678", "S99,999.99PR"},
		{"1", "FM0000"},
		{"1 year 2 mons -04:05:06.7", "YYYY DD HH24:MI:SS.US"},
		{"0044-03-15 00:00:00 BC", "BC Q WW J"},
		{"x", `"text" 9`},
		{"5", "RN"},
		{"x", "TM"},
	} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, text, format string) {
		if !utf8.ValidString(text) || !utf8.ValidString(format) {
			return
		}
		tell := func(err error) {
			if err != nil {
				require.NotEmpty(t, err.Error())
			}
		}
		_, err := readByTemplate(text, format)
		tell(err)
		if m, finite, err := readMoment(text); err == nil && finite {
			require.NotNil(t, m)
			_ = m.date()
		}
		_, err = readInterval(text)
		tell(err)
		value, err := numberToChar(text, format)
		if e, ok := errors.AsType[*Error](err); ok {
			require.Len(t, e.SQLSTATE, 5)
		}
		if s, ok := value.(string); ok {
			require.LessOrEqual(t, len(s), 4*len(text)+4*len(format)+16)
		}
	})
}
