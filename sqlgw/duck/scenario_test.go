package duck_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// TestScenarios runs the files under testdata, each against an instance of its own:
//
//	describe   the parameters and columns of a statement
//	query      the rows of a statement, or its error as class, SQLSTATE, message
//	try        each line is a statement: what becomes of it under the locked settings
//	json       type=T: what ReadJSON makes of a file with the line {"c": input}, for each
//	           line of input, or of the line itself where it begins with "line "
//
// DIR in a statement stands for the fragment root, OUTSIDE for a directory elsewhere.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		t.Helper()
		if filepath.Base(path) == "rapid" || strings.Contains(path, "/rapid/") {
			return
		}
		s := newScenario(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			return s.run(t, d)
		})
	})
}

type scenario struct {
	c             *duck.Conn
	root, outside string
}

func newScenario(t *testing.T) *scenario {
	t.Helper()
	base := t.TempDir()
	s := &scenario{root: filepath.Join(base, "root"), outside: filepath.Join(base, "outside")}
	for _, dir := range []string{s.root, s.outside} {
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a.csv"), []byte("a\n1\n"), 0o600))
	}
	require.NoError(t, os.Symlink(s.outside, filepath.Join(s.root, "link")))
	db := open(t, duck.Config{FragmentRoot: s.root, TempDir: filepath.Join(base, "temp")})
	register(t, db, "numbers", numbers(1000, 3))
	s.c = connect(t, db)
	return s
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	sql := strings.NewReplacer("DIR", s.root, "OUTSIDE", s.outside).Replace(d.Input)
	switch d.Cmd {
	case "describe":
		return s.describe(t, sql)
	case "query":
		return s.clean(lines(t.Context(), s.c, sql))
	case "try":
		var out strings.Builder
		for i, statement := range strings.Split(sql, "\n") {
			fmt.Fprintf(&out, "%-100s %s", strings.Split(d.Input, "\n")[i], s.try(t, statement))
		}
		return out.String()
	case "json":
		var name string
		d.ScanArgs(t, "type", &name)
		return s.readForms(t, strings.ReplaceAll(name, "+", " "), d.Input)
	default:
		t.Fatalf("no command %s", d.Cmd)
		return ""
	}
}

// clean makes what depends on the run constant.
func (s *scenario) clean(out string) string {
	return strings.NewReplacer(s.root, "DIR", s.outside, "OUTSIDE").Replace(out)
}

func (s *scenario) try(t *testing.T, sql string) string {
	t.Helper()
	_, err := query(t.Context(), s.c, sql, nil)
	var failed *duck.Error
	switch {
	case err == nil:
		return "ALLOWED\n"
	case errors.As(err, &failed):
		first, _, _ := strings.Cut(failed.Message, "\n")
		return s.clean(fmt.Sprintf("%s %s\n", failed.SQLSTATE, first))
	default:
		return s.clean(err.Error() + "\n")
	}
}

func (s *scenario) describe(t *testing.T, sql string) string {
	t.Helper()
	stmt, err := s.c.Prepare(t.Context(), sql)
	if failed, ok := errors.AsType[*duck.Error](err); ok {
		return fmt.Sprintf("%s %s: %s\n", failed.Class, failed.SQLSTATE, failed.Message)
	}
	require.NoError(t, err)
	defer stmt.Close()
	var out strings.Builder
	for i, p := range stmt.Params() {
		fmt.Fprintf(&out, "$%d %s\n", i+1, typeText(p))
	}
	for _, c := range stmt.Columns() {
		fmt.Fprintf(&out, "%s %s\n", c.Name, typeText(c.Type))
	}
	for _, u := range stmt.Unsupported() {
		fmt.Fprintf(&out, "unsupported: %d %s %s\n", u.Index, u.Name, u.Type)
	}
	if out.Len() == 0 {
		return "not known\n"
	}
	return out.String()
}

func typeText(t columnar.Type) string {
	switch t.Kind {
	case 0:
		return "?"
	case columnar.Decimal:
		return fmt.Sprintf("Decimal(%d,%d)", t.Precision, t.Scale)
	default:
		return t.Kind.String()
	}
}

// readForms reads each form in a file of its own, and shows the value as DuckDB's text.
func (s *scenario) readForms(t *testing.T, name, forms string) string {
	t.Helper()
	typ := parseType(t, name)
	path := filepath.Join(s.root, "form.raw")
	var out strings.Builder
	for form := range strings.SplitSeq(forms, "\n") {
		content := `{"c":` + form + "}\n"
		if rest, ok := strings.CutPrefix(form, "line "); ok {
			content = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\v`, "\v", `\f`, "\f", `\0`, "\x00",
				"BOM", "\ufeff", "BAD", "\xff").Replace(rest)
		}
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		sql, err := duck.ReadJSON([]string{path}, columnar.Schema{Columns: []columnar.Column{{Name: "c", Type: typ}}})
		require.NoError(t, err)
		got := strings.TrimSuffix(lines(t.Context(), s.c, "SELECT c::VARCHAR FROM ("+sql+")"), "\n")
		if first, _, ok := strings.Cut(got, ": "); ok && strings.HasPrefix(got, "Invalid Input XX001") {
			_ = first
			got = "error"
		}
		fmt.Fprintf(&out, "%-48s %s\n", form, strings.ReplaceAll(got, "\n", " ; "))
	}
	return out.String()
}

func parseType(t *testing.T, name string) columnar.Type {
	t.Helper()
	for kind := columnar.Bool; kind <= columnar.JSONB; kind++ {
		if kind.String() == name {
			return columnar.Type{Kind: kind}
		}
	}
	var typ columnar.Type
	if n, _ := fmt.Sscanf(name, "Decimal(%d,%d)", &typ.Precision, &typ.Scale); n == 2 {
		typ.Kind = columnar.Decimal
		return typ
	}
	if n, _ := fmt.Sscanf(name, "Char(%d)", &typ.Length); n == 1 {
		typ.Kind = columnar.Char
		return typ
	}
	t.Fatalf("no type %s", name)
	return typ
}
