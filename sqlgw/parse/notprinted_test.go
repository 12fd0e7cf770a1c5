package parse

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoMemoryToPrint: what the grammar says when it has no memory for a tree isn't told as the fault of the statement.
func TestNoMemoryToPrint(t *testing.T) {
	e := notPrinted("query", errors.New("could not unpack protobuf parse tree"))
	require.Equal(t, CodeOutOfMemory, e.Code)
	require.Equal(t, "out of memory: the query can't be printed", e.Message)
	require.Equal(t, CodeTooComplex, notPrinted("query", errors.New("unrecognized node type: 7")).Code)
}
