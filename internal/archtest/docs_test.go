package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// headings that the doc.go of a package with content has.
var headings = []string{"# What", "# Invariants", "# Goroutines", "# Testing"}

// TestPackagesAreDocumented: each package has a comment; each room's has the headings.
func TestPackagesAreDocumented(t *testing.T) {
	ours, _ := load(t)
	for _, p := range ours {
		name := strings.TrimPrefix(p.ImportPath, module)
		if p.Doc == "" {
			t.Errorf("%s: no package comment", name)
			continue
		}
		if r := roomOf(name); r == "cmd" || r == "examples" || r == "test" || r == "bench" || strings.HasSuffix(name, "test") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		require.NoError(t, err)
		var text strings.Builder
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			head, _, _ := strings.Cut(string(b), "\npackage ")
			text.WriteString(head)
		}
		for _, h := range headings {
			if !strings.Contains(text.String(), h) {
				t.Errorf("%s: its package comment has no heading %q", name, h)
			}
		}
	}
}

// TestTopLevel: the folders are the architecture, and the root has no Go file.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("../..")
	require.NoError(t, err)
	other := map[string]bool{
		"docs": true, "deploy": true, "tools": true, // pages, deployment, pinned tools
		"bin": true, "data": true, // made by make, not tracked
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if e.IsDir() {
			_, known := rooms[e.Name()]
			require.True(t, known || other[e.Name()], "%s isn't a room of the design", e.Name())
			continue
		}
		require.NotEqual(t, ".go", filepath.Ext(e.Name()), "%s: the root holds no Go file", e.Name())
	}
}

// TestTableInArchitecturePage: docs/architecture.md prints the table that is tested here.
func TestTableInArchitecturePage(t *testing.T) {
	b, err := os.ReadFile("../../docs/architecture.md")
	require.NoError(t, err)
	rows := map[string]string{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(line, "|")
		if len(cells) >= 4 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			rows[strings.Trim(strings.TrimSpace(cells[1]), "`/")] = strings.TrimSpace(cells[3])
		}
	}
	for name, r := range rooms {
		want := "-"
		if len(r.may) > 0 {
			want = strings.ReplaceAll(strings.Join(r.may, ", "), "/...", "")
			if want == "..." {
				want = "all"
			}
		}
		require.Equal(t, want, rows[name], "the row of %s in docs/architecture.md", name)
	}
}
