package score_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/score"
	"broadsheet.dev/broadsheet/test/system"
)

// floor is the least share of the statements, in percent, that has to score.
const floor = 95.0

var (
	rewrite = flag.Bool("rewrite", false, "write testdata/answers.jsonl anew, from a real PostgreSQL")
	server  = flag.String("server", "", "`URL` of a server to score in place of one that is started")
)

const answersFile = "testdata/answers.jsonl"

// TestAnswersArePostgres: the answers are those of a real PostgreSQL.
func TestAnswersArePostgres(t *testing.T) {
	url := system.Postgres(t)
	answers, unmade := replay(t, url)
	require.Empty(t, unmade)
	if *rewrite {
		require.NoError(t, score.WriteLines(answersFile, answers))
	}
	want, err := score.ReadLines[*score.Answer](answersFile)
	require.NoError(t, err)
	require.Len(t, answers, len(want))
	loose := reasons(t, "loose")
	for i, a := range answers {
		if differs := a.Differs(want[i], loose[a.Name] != ""); differs != "" {
			t.Errorf("%s: %s", a.Name, differs)
		}
	}
}

func reasons(t *testing.T, name string) map[string]string {
	t.Helper()
	out, err := score.ReadReasons("testdata/" + name + ".txt")
	require.NoError(t, err)
	return out
}

// replay makes the schema and runs every statement.
func replay(t *testing.T, url string) ([]*score.Answer, []error) {
	t.Helper()
	schema, err := os.ReadFile("testdata/schema.sql")
	require.NoError(t, err)
	statements, err := score.ReadLines[*score.Statement]("testdata/statements.jsonl")
	require.NoError(t, err)
	r := &score.Replayer{URL: url}
	unmade := r.Schema(t.Context(), string(schema))
	var out []*score.Answer
	for _, s := range statements {
		ctx, done := context.WithTimeout(t.Context(), time.Minute) // which only ends a test that hangs
		a, err := r.Run(ctx, s)
		done()
		require.NoError(t, err, s.Name)
		out = append(out, a)
	}
	return out, unmade
}

// TestScore counts the statements that are answered as PostgreSQL does.
func TestScore(t *testing.T) {
	url := *server
	if url == "" {
		s, err := system.Start(t.Context(), t.TempDir())
		require.NoError(t, err)
		defer s.Kill()
		url = s.URL()
	}
	statements, err := score.ReadLines[*score.Statement]("testdata/statements.jsonl")
	require.NoError(t, err)
	want, err := score.ReadLines[*score.Answer](answersFile)
	require.NoError(t, err)
	require.Len(t, want, len(statements))
	answers, unmade := replay(t, url)
	for _, err := range unmade {
		t.Logf("not made: %v", err)
	}
	c := score.Count{}
	loose, refused, misses := reasons(t, "loose"), reasons(t, "refused"), reasons(t, "misses")
	for i, a := range answers {
		name := a.Name
		differs := a.Differs(want[i], loose[name] != "")
		if refused[name] != "" {
			differs = a.Differs(&score.Answer{Name: name, Error: "0A000", Status: a.Status}, false)
		}
		c.Add(statements[i], differs == "")
		switch {
		case differs != "" && misses[name] == "":
			t.Errorf("%s: %s", name, differs)
		case differs == "" && misses[name] != "":
			t.Errorf("%s is in misses.txt, but scores", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(misses)) {
		t.Logf("known miss: %s: %s", name, misses[name])
	}
	fmt.Print(c.String())
	if got := c.Percent(); got < floor {
		t.Errorf("the score is %.1f %%, below %.1f %%", got, floor)
	}
	requireStatements(t, statements, loose, refused, misses)
}

// requireStatements: every name that is listed with a reason is a statement's.
func requireStatements(t *testing.T, statements []*score.Statement, lists ...map[string]string) {
	t.Helper()
	names := map[string]bool{}
	for _, s := range statements {
		names[s.Name] = true
	}
	for _, list := range lists {
		for name := range list {
			if !names[name] {
				t.Errorf("%q is listed (%s), and no statement", name, list[name])
			}
		}
	}
}

// TestComparison: what a loose comparison doesn't let through.
func TestComparison(t *testing.T) {
	want := &score.Answer{Tag: "SELECT 12", Count: 12, Rows: []string{"a"}, Status: "I"}
	for _, c := range []struct {
		got           score.Answer
		strict, loose bool // it differs
	}{
		{got: *want},
		{got: score.Answer{Tag: "SELECT 3", Count: 3, Rows: []string{"b"}, Status: "I"}, strict: true},
		{got: score.Answer{Tag: "SELECT 0", Status: "I"}, strict: true, loose: true},
		{got: score.Answer{Tag: "SHOW", Count: 12, Rows: []string{"a"}, Status: "I"}, strict: true, loose: true},
		{got: score.Answer{Error: "0A000"}, strict: true, loose: true},
	} {
		require.Equal(t, c.strict, c.got.Differs(want, false) != "", c.got)
		require.Equal(t, c.loose, c.got.Differs(want, true) != "", c.got)
	}
}
