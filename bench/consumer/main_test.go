package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == roleEtcd { // This program is its own etcd.
		exitOn(serveEtcd(os.Args[2]))
		return
	}
	os.Exit(m.Run())
}

// TestQuick: everything can be measured, and each figure is there.
func TestQuick(t *testing.T) {
	stores := []string{nothing, "JSON", "Pebble", "SQLite", "PostgreSQL"}
	for part, lines := range map[string][]string{
		"memory": stores, "rate": stores, "latency": stores,
		"recovery": {"cold", "hot standby"},
		"failover": {"SIGKILL, hot standby", "SIGKILL, none", "graceful exit, hot standby", "graceful exit, none"},
		"views":    {"filter", "GROUP BY, 10 keys", "GROUP BY, 1000 keys", "append, then SELECT of its group"},
	} {
		t.Run(part, func(t *testing.T) {
			o := options{only: part, json: filepath.Join(t.TempDir(), "figures.json")}
			o.shorten()
			if slices.Contains(lines, "PostgreSQL") {
				o.postgres = filepath.Dir(testenv.Program(t, "initdb"))
			}
			b, err := run(t.Context(), &o)
			require.NoError(t, err)
			var got []string
			for _, f := range b.Figures {
				got = append(got, f.Name)
				require.NotEmpty(t, f.Values, f.Name)
				for column, v := range f.Values {
					if part != "memory" { // which is less than what else the process has and frees, if there are few shards
						require.Positive(t, v, "%s: %s: %s", part, f.Name, column)
					}
				}
			}
			require.Equal(t, lines, got)
			require.Empty(t, b.notRun)
			require.FileExists(t, o.json)
		})
	}
}

// TestOnly: what isn't known is refused by name.
func TestOnly(t *testing.T) {
	_, err := run(t.Context(), &options{only: "weather"})
	require.ErrorContains(t, err, "weather: it is one of [memory rate")
}
