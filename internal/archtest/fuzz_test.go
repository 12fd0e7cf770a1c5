package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFuzzedDecoders: each fuzz target of our modules is in the table of docs/fuzzing.md, and each that is there exists.
func TestFuzzedDecoders(t *testing.T) {
	const root = "../.."
	ours := modules(t)
	var targets []string
	declared := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			dir, err := filepath.Rel(root, path)
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (nested == nil && !slices.Contains(ours, filepath.ToSlash(dir)) || strings.HasPrefix(d.Name(), ".")) {
				return filepath.SkipDir // another module's, or none
			}
			return err
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, m := range declared.FindAllSubmatch(text, -1) {
			targets = append(targets, filepath.ToSlash(dir)+"."+string(m[1]))
		}
		return err
	}))
	require.Greater(t, len(targets), 50)
	page, err := os.ReadFile(root + "/docs/fuzzing.md")
	require.NoError(t, err)
	var listed []string
	for _, m := range regexp.MustCompile("`([a-z/0-9]+\\.Fuzz\\w+)`").FindAllSubmatch(page, -1) {
		listed = append(listed, string(m[1]))
	}
	slices.Sort(targets)
	slices.Sort(listed)
	require.Equal(t, targets, listed)
}
