package spool

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
)

// TestLargestHeader: registers that a record may have fit the header of the next fragment, or the
// spool couldn't be opened again.
func TestLargestHeader(t *testing.T) {
	registers := &protocol.LabelSet{Labels: []*protocol.Label{{Name: "large", Value: strings.Repeat("x", MaxRegisters-32)}}}
	require.Greater(t, proto.Size(registers), MaxRegisters-32)
	require.LessOrEqual(t, proto.Size(registers), MaxRegisters)
	h := header{
		id: ID{Journal: strings.Repeat("j", 512), CreateRevision: 1}, previous: -1,
		codec: protocol.CompressionCodec_NONE, registers: registers, start: openingStart{opening: 1},
	}
	b, err := h.encode()
	require.NoError(t, err)
	got, err := readHeader("a file", bytes.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, h.id, got.id)
	require.True(t, proto.Equal(registers, got.registers))
}
