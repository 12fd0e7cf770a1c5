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

// otherModules are below these: pinned tools and servers, clients under test, and peers that we are measured against.
var otherModules = []string{"tools/...", "test/clients/...", "bench/peers/..."}

// modules of their own whose packages are the product's, as the Makefile has them. Each is below the folder that it is named for.
func modules(t *testing.T) []string {
	t.Helper()
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^MODULES +:= +(.*)$`).FindSubmatch(makefile)
	require.NotNil(t, line, "the Makefile has no MODULES")
	return strings.Fields(string(line[1]))
}

// TestModules: each go.mod of the tree is one of the Makefile's MODULES, or of what is none of the product. The names of ours are
// where they are, and what they have of ours is what is in the tree.
func TestModules(t *testing.T) {
	const root = "../.."
	var found []string
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if d.Name() != "go.mod" || filepath.Dir(path) == root {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		dir = filepath.ToSlash(dir)
		if !slices.ContainsFunc(otherModules, func(o string) bool { return match(o, dir) }) {
			found = append(found, dir)
		}
		return err
	}))
	require.ElementsMatch(t, modules(t), found)
	for _, m := range found {
		mod, err := os.ReadFile(filepath.Join(root, m, "go.mod"))
		require.NoError(t, err)
		require.Contains(t, string(mod), "\nmodule "+module+m+"\n")
		up := strings.Repeat("../", strings.Count(m, "/")) + ".."
		require.Contains(t, string(mod), "\nreplace "+strings.TrimSuffix(module, "/")+" => "+up+"\n")
	}
}
