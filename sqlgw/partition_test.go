package sqlgw

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// TestPartitionDocument: the table of docs/format/partition.md is what is computed.
func TestPartitionDocument(t *testing.T) {
	page, err := os.ReadFile("../docs/format/partition.md")
	require.NoError(t, err)
	_, block, found := strings.Cut(string(page), "```partitions\n")
	require.True(t, found)
	block, _, found = strings.Cut(block, "```")
	require.True(t, found)
	lines := strings.Split(strings.TrimSuffix(block, "\n"), "\n")
	require.Greater(t, len(lines), 8)
	row := regexp.MustCompile(`^(\S.*?)  +(\S.*?)  +(\[.*\])  +(\S+)  +(\d)  +(\d)$`)
	for _, line := range lines[1:] {
		cells := row.FindStringSubmatch(line)
		require.NotNil(t, cells, line)
		cells = cells[1:]
		v := columnar.NewVectorBuilder(typeOf(t, strings.ReplaceAll(cells[0], ",", "|")))
		if cells[1] == "NULL" {
			v.AppendNull()
		} else {
			require.NoError(t, columnar.ParseText(v.Type(), cells[1], v), line)
		}
		vector := v.Vector()
		key := appendKey(nil, &vector, 0)
		computed := fmt.Sprintf("[%s] %08x %d %d", key, partitionHash(key), partitionOf(key, 4), partitionOf(key, 7))
		require.Equal(t, strings.Join(cells[2:], " "), computed, line)
	}
}
