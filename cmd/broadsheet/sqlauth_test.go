package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhereSQLIsServed: what isn't an address of loopback is looked at, wherever it comes from.
func TestWhereSQLIsServed(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	file := filepath.Join(t.TempDir(), "hba")
	require.NoError(t, os.WriteFile(file, []byte("host all all all trust\n"), 0o600))
	for _, c := range []struct{ hba, address, want string }{
		{"", "127.0.0.1:5433", ""},
		{"", "[::1]:5433", ""},
		{file, "127.0.0.1:5433", ""},
		{"", "0.0.0.0:5433", "it isn't a loopback address, and there is no authentication"},
		{"", "[::]:5433", "it isn't a loopback address, and there is no authentication"},
		{"", "fd:5", "it isn't a loopback address, and there is no authentication"},
		{file, "[::]:5433", "line 1 of " + file + " trusts clients of other machines"},
		{file, "fd:5", "line 1 of " + file + " trusts clients of other machines"},
	} {
		f := sqlAuthFlags{hba: c.hba}
		_, err := f.read(c.address, log)
		if c.want == "" {
			require.NoError(t, err, c.address)
		} else {
			require.ErrorContains(t, err, c.want, c.address)
		}
	}
}

// TestFirstPasswordFile may be gone, which is told; whether it is needed is known only later.
func TestFirstPasswordFile(t *testing.T) {
	f := sqlAuthFlags{passwordFile: filepath.Join(t.TempDir(), "password")}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	require.NoError(t, f.checkPassword(t.Context(), log))
	require.Contains(t, said.String(), "file="+f.passwordFile)
	auth, err := f.read("127.0.0.1:5433", log)
	require.NoError(t, err)
	_, err = auth.password()
	require.ErrorIs(t, err, os.ErrNotExist)

	require.NoError(t, os.WriteFile(f.passwordFile, []byte("\n"), 0o600))
	require.ErrorContains(t, f.checkPassword(t.Context(), log), "has no password in its first line")
	require.NoError(t, os.WriteFile(f.passwordFile, []byte("first\r\nsecond\n"), 0o600))
	require.NoError(t, f.checkPassword(t.Context(), log))
	text, err := auth.password()
	require.NoError(t, err)
	require.Equal(t, "first", text)
}
