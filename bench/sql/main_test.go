package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// TestQuick: everything can be measured.
func TestQuick(t *testing.T) {
	testenv.Program(t, "initdb")
	o := options{postgres: filepath.Dir(testenv.Program(t, "postgres")), what: "select1,connect,copy,scan,wire,visible,idle,dashboard"}
	o.shorten()
	require.NoError(t, run(t.Context(), &o))
}
