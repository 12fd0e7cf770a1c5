package archtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConformanceNamesWhatExists: each test that docs/conformance.md names is there, each row
// has a state, and what is done names something that shows it.
func TestConformanceNamesWhatExists(t *testing.T) {
	page, err := os.ReadFile("../../docs/conformance.md")
	require.NoError(t, err)
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !regexp.MustCompile(`^\| [0-9]+\.[0-9]+`).MatchString(line) {
			continue
		}
		rows++
		state, shown := cells[2], cells[3]
		require.Regexp(t, `^(open|done|differs)`, state, line)
		refs := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(shown, -1)
		require.False(t, strings.HasPrefix(state, "done") && len(refs) == 0, "nothing shows: %s", line)
		for _, r := range refs {
			checkReference(t, r[1])
		}
	}
	require.Greater(t, rows, 30)
}

// checkReference finds a test `folder.TestName`; anything else has to be a command of ours.
func checkReference(t *testing.T, ref string) {
	t.Helper()
	m := regexp.MustCompile(`^([a-z0-9/]+)\.((?:Test|Fuzz)\w+)$`).FindStringSubmatch(ref)
	if m == nil {
		require.Regexp(t, `^(CI=true )?make [a-z-]+$|^\.ci/run$`, ref)
		if _, target, ok := strings.Cut(ref, "make "); ok {
			require.NoError(t, exec.Command("make", "-C", "../..", "-n", target).Run(), ref)
		}
		return
	}
	files, err := filepath.Glob(filepath.Join("../..", m[1], "*_test.go"))
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		if strings.Contains(string(b), "\nfunc "+m[2]+"(") {
			return
		}
	}
	t.Errorf("%s: there is no such test", ref)
}
