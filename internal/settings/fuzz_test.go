package settings

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzINI: any text is sections with keys, each on the line where it stands, or an error that names its line.
func FuzzINI(f *testing.F) {
	for _, s := range []string{"[serve]\nlog.level = debug\n", "a=b", "[x", "[A.Logging]\nLevel = \"in\\tfo\"\n;c\n#c\n", `x="`, "="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ini, err := parse("x.ini", strings.NewReader(text))
		if err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "x.ini:"), "%v", err)
			return
		}
		lines := strings.Count(text, "\n") + 1
		for _, at := range ini.order {
			require.LessOrEqual(t, at.line, lines)
			require.NotEmpty(t, ini.sections[at.section][at.key])
		}
	})
}
