package meaning_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/meaning"
	"broadsheet.dev/broadsheet/test/system"
)

var (
	rewrite = flag.Bool("rewrite", false, "write the answers anew, from a real PostgreSQL")
	server  = flag.String("server", "", "`URL` of a server to ask in place of one that is started")
)

func files(t *testing.T) []*meaning.File {
	t.Helper()
	out, err := meaning.Files("testdata/same")
	require.NoError(t, err)
	require.NotEmpty(t, out)
	return out
}

func connect(t *testing.T, url string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// TestAnswersArePostgres: the answers are those of a real PostgreSQL.
func TestAnswersArePostgres(t *testing.T) {
	conn := connect(t, system.Postgres(t))
	for _, f := range files(t) {
		for i := range f.Questions {
			q := &f.Questions[i]
			got, err := meaning.Ask(t.Context(), conn, q.SQL)
			require.NoError(t, err)
			if *rewrite {
				q.Answer = got
			}
			if !slices.Equal(got, q.Answer) {
				t.Errorf("%s\nis answered %q, not %q", q.SQL, got, q.Answer)
			}
		}
		if *rewrite {
			require.NoError(t, f.Write())
		}
	}
}

// TestMeaning: what is answered here is what PostgreSQL answers, but for what is listed.
func TestMeaning(t *testing.T) {
	url := *server
	if url == "" {
		s, err := system.Start(t.Context(), t.TempDir())
		require.NoError(t, err)
		defer s.Kill()
		url = s.URL()
	}
	conn := connect(t, url)
	differs, err := meaning.ReadDifferences("testdata/differs.txt")
	require.NoError(t, err)
	asked := map[string]bool{}
	count := 0
	for _, f := range files(t) {
		for _, q := range f.Questions {
			if asked[q.SQL] {
				t.Errorf("%s\nis asked twice", q.SQL)
			}
			asked[q.SQL] = true
			got, err := meaning.Ask(t.Context(), conn, q.SQL)
			require.NoError(t, err)
			switch same, listed := slices.Equal(got, q.Answer), differs.Of[q.SQL] != ""; {
			case !same && !listed:
				t.Errorf("%s\n  here: %q\n  PostgreSQL: %q", q.SQL, got, q.Answer)
			case same && listed:
				t.Errorf("%s\nis listed under %q, but is answered as PostgreSQL does", q.SQL, differs.Of[q.SQL])
			case same:
				count++
			}
		}
	}
	for sql := range differs.Of {
		if !asked[sql] {
			t.Errorf("%s\nis listed, but not asked", sql)
		}
	}
	t.Logf("%d of %d statements are answered as PostgreSQL does", count, len(asked))
}

// TestDifferencesAreDocumented: each kind of difference is a row of the page's table.
func TestDifferencesAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(system.Root(), "docs", "sql.md"))
	require.NoError(t, err)
	rows := meaning.Table(string(page), "What differs from PostgreSQL")
	require.NotEmpty(t, rows)
	differs, err := meaning.ReadDifferences("testdata/differs.txt")
	require.NoError(t, err)
	shown := map[string]bool{}
	for _, heading := range differs.Of {
		shown[heading] = true
	}
	for _, heading := range differs.Headings {
		require.Contains(t, rows, heading)
		require.True(t, shown[heading], "no statement shows %q", heading)
	}
}
