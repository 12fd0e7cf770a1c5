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
	rows := rowsOf(t, "conformance.md", regexp.MustCompile(`^[0-9]+\.[0-9]+$`))
	for _, r := range rows {
		require.Regexp(t, `^(open|done|differs)`, r.state, r.line)
		require.False(t, strings.HasPrefix(r.state, "done") && len(r.shown) == 0, "nothing shows: %s", r.line)
		for _, ref := range r.shown {
			checkReference(t, ref)
		}
	}
	require.Greater(t, len(rows), 30)
}

// checkReference finds a test `folder.TestName`; anything else has to be a command of ours.
func checkReference(t *testing.T, ref string) {
	t.Helper()
	m := regexp.MustCompile(`^([a-z0-9/]+)\.((?:Test|Fuzz)\w+)$`).FindStringSubmatch(ref)
	if dir, ok := strings.CutPrefix(ref, "go run ./"); ok {
		require.FileExists(t, filepath.Join("../..", dir, "main.go"), ref)
		return
	}
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
