package compat_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

var makeVersion = flag.String("make", "", "make the archive of this version")

// content of every archive: statements that made it, and what they must read as for ever.
var (
	statements = []string{
		`CREATE SCHEMA shop`,
		`CREATE TABLE shop.orders (id BIGINT NOT NULL, item TEXT, price NUMERIC(12,2), at TIMESTAMPTZ, more JSONB)
			WITH (journals = 2, partition_by = 'id', fragment_length = '1KiB')`,
		`INSERT INTO shop.orders SELECT g, 'item ' || g, g * 1.25, '2026-01-01 00:00:00+00', '{"n": 1}' FROM generate_series(1, 50) AS s(g)`,
		`INSERT INTO shop.orders SELECT g, 'item ' || g, g * 1.25, '2026-01-01 00:00:00+00', '{"n": 1}' FROM generate_series(51, 100) AS s(g)`,
		`INSERT INTO shop.orders VALUES (101, 'NULL', NULL, 'infinity', NULL)`,
		`CREATE TABLE plain (v TEXT) WITH (codec = 'none', fragment_length = '1KiB')`,
		`INSERT INTO plain SELECT repeat('x', 900) || g FROM generate_series(1, 3) AS s(g)`,
		`INSERT INTO plain SELECT 'unstored ' || g FROM generate_series(1, 3) AS s(g)`,
		`CREATE TABLE dropped (v TEXT)`,
		`DROP TABLE dropped`,
	}
	answers = map[string]string{
		`SELECT count(*) || ' ' || sum(id) || ' ' || sum(price) FROM shop.orders`:                  "101 5151 6312.50",
		`SELECT item FROM shop.orders WHERE id = 101 AND price IS NULL`:                            "NULL",
		`SELECT count(*)::text FROM shop.orders WHERE at = '2026-01-01'`:                           "100",
		`SELECT string_agg(v, ',' ORDER BY v) FROM plain WHERE v LIKE 'unstored%'`:                 "unstored 1,unstored 2,unstored 3",
		`SELECT count(*)::text FROM plain WHERE length(v) = 901`:                                   "3",
		`SELECT string_agg(DISTINCT table_name, ',' ORDER BY table_name) FROM bs_catalog.journals`: "orders,plain",
		`SELECT count(*)::text FROM bs_catalog.rejects`:                                            "0",
	}
)

// TestOpen opens the directory of each released version, reads it, writes to it, and reads
// it again after another start.
func TestOpen(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.tar.gz")
	require.NoError(t, err)
	require.NotEmpty(t, archives, "at least the first version has one")
	for _, a := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(a), ".tar.gz"), func(t *testing.T) {
			dir := t.TempDir()
			unpack(t, a, dir)
			s := start(t, dir)
			check(t, s)
			ask(t, s, "INSERT INTO plain VALUES ('by a newer program')")
			require.NoError(t, s.Stop(timeout(t)))
			require.NoError(t, s.Restart(timeout(t)))
			check(t, s)
			require.Equal(t, "1", ask(t, s, "SELECT count(*)::text FROM plain WHERE v = 'by a newer program'"))
		})
	}
}

// TestMake makes an archive, if it is asked to.
func TestMake(t *testing.T) {
	if *makeVersion == "" {
		return
	}
	dir := t.TempDir()
	s := start(t, dir)
	for _, sql := range statements {
		ask(t, s, sql)
	}
	check(t, s)
	s.Kill() // as a crash leaves it
	pack(t, filepath.Join("testdata", *makeVersion+".tar.gz"), dir)
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, dir string) *system.Server {
	t.Helper()
	s, err := system.Start(timeout(t), dir)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	return s
}

func check(t *testing.T, s *system.Server) {
	t.Helper()
	for sql, want := range answers {
		require.Equal(t, want, ask(t, s, sql), sql)
	}
}

// ask returns the one value that a statement answers, "" if it has none.
func ask(t *testing.T, s *system.Server, sql string) string {
	t.Helper()
	conn, err := s.Connect(timeout(t))
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), sql)
	require.NoError(t, err, sql)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err, sql)
	return strings.Join(values, "\n")
}

func pack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Create(archive)
	require.NoError(t, err)
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	require.NoError(t, err)
	w := tar.NewWriter(z)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		err = w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o640, Size: int64(len(b))})
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	}))
	require.NoError(t, errors.Join(w.Close(), z.Close(), f.Close()))
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		require.True(t, filepath.IsLocal(h.Name), h.Name)
		path := filepath.Join(dir, h.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, b, 0o600))
	}
}
