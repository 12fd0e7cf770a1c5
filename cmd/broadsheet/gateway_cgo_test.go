//go:build cgo

package main

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestListenerThatWasHandedDown is served as if it had been opened here.
func TestListenerThatWasHandedDown(t *testing.T) {
	parent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, parent.Close()) })
	handed := func() string {
		file, err := parent.(*net.TCPListener).File()
		require.NoError(t, err)
		// A second number for it, which openSQL closes: the file closes its own.
		fd, err := unix.Dup(int(file.Fd()))
		require.NoError(t, err)
		require.NoError(t, file.Close())
		return "fd:" + strconv.Itoa(fd)
	}
	log := slog.New(slog.DiscardHandler)
	f := gatewayFlags{listen: handed()}
	ln, auth, err := f.openSQL(log)
	require.NoError(t, err)
	require.Equal(t, parent.Addr(), ln.Addr())
	require.Nil(t, auth.rules)
	require.NoError(t, ln.Close())

	file := filepath.Join(t.TempDir(), "hba")
	require.NoError(t, os.WriteFile(file, []byte("host all all all md5\n"), 0o600))
	f = gatewayFlags{listen: handed(), auth: sqlAuthFlags{hba: file}}
	_, _, err = f.openSQL(log)
	require.ErrorContains(t, err, `method "md5" is not supported`)
}
