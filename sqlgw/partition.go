package sqlgw

import (
	"hash/fnv"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// partitionOf is the number of the journal, of so many, that a row with a key goes to. It is what
// docs/format/partition.md says, and never changes: rows of one key are in one journal for ever.
func partitionOf(key []byte, journals int) int {
	return int(partitionHash(key) % uint32(journals)) //nolint:gosec // there are at most a few thousand
}

func partitionHash(key []byte) uint32 {
	h := fnv.New32a()
	_, _ = h.Write(key)
	return h.Sum32()
}

// appendKey appends the key that a value is: its text, nothing for NULL.
func appendKey(dst []byte, v *columnar.Vector, row int) []byte {
	if v.IsNull(row) {
		return dst
	}
	return columnar.AppendText(dst, v, row)
}
