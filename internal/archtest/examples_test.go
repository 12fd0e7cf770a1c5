package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxExample is how many lines a program of an example has at most: a screen for each of its ideas.
const maxExample = 250

// TestExamples: a program of an example has less than 250 lines, without its tests; each example has a page, a test, and a row in README.
func TestExamples(t *testing.T) {
	const root = "../../examples"
	// What tests have in common is no example; nexmark is a load generator, whose demo is tested in test/system.
	noExample := []string{"exampletest", "nexmark"}
	lines, tested := map[string]int{}, map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		if err != nil || d.IsDir() && slices.Contains(noExample, rel) {
			return skipUnless(err)
		}
		example, _, nested := strings.Cut(filepath.ToSlash(rel), "/")
		switch {
		case !nested || d.IsDir():
		case strings.HasSuffix(path, "_test.go"):
			tested[example] = true
		case slices.Contains([]string{".go", ".py", ".mjs", ".sh"}, filepath.Ext(path)):
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			lines[filepath.ToSlash(filepath.Dir(rel))] += bytes.Count(text, []byte{'\n'})
		}
		return nil
	}))
	require.Greater(t, len(lines), 5)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	var listed []string
	for _, m := range regexp.MustCompile(`(?m)^\| \[examples/(\w+)\]\(examples/(\w+)\) \|`).FindAllSubmatch(readme, -1) {
		require.Equal(t, string(m[1]), string(m[2]))
		if !slices.Contains(noExample, string(m[1])) {
			listed = append(listed, string(m[1]))
		}
	}
	var there []string
	for program, n := range lines {
		require.Less(t, n, maxExample, "lines of examples/%s", program)
		example, _, _ := strings.Cut(program, "/")
		there = append(there, example)
		require.True(t, tested[example], "examples/%s has no test", example)
		require.FileExists(t, filepath.Join(root, example, "README.md"))
	}
	slices.Sort(there)
	require.ElementsMatch(t, slices.Compact(there), listed, "the table in README")
}

func skipUnless(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}
