package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// TestQuick: everything can be measured.
func TestQuick(t *testing.T) {
	testenv.Program(t, "initdb")
	o := options{postgres: filepath.Dir(testenv.Program(t, "postgres")), what: strings.Join(whats(), ",")}
	o.shorten()
	require.NoError(t, run(t.Context(), &o))
}
