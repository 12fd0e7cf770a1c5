package protocol

import (
	"crypto/sha1" //nolint:gosec // the protocol names content by SHA-1
	"encoding/binary"
)

// SumOf returns the sum of content. The sum of no content is that of SHA-1
// (da39a3ee...), not the zero sum.
func SumOf(content []byte) *SHA1Sum {
	return SumFromDigest(sha1.Sum(content)) //nolint:gosec // see the import
}

// SumFromDigest returns the sum of a digest.
func SumFromDigest(digest [20]byte) *SHA1Sum {
	return &SHA1Sum{
		Part1: binary.BigEndian.Uint64(digest[0:8]),
		Part2: binary.BigEndian.Uint64(digest[8:16]),
		Part3: binary.BigEndian.Uint32(digest[16:20]),
	}
}

// Digest of the sum; an absent sum is all zero.
func (x *SHA1Sum) Digest() [20]byte {
	var d [20]byte
	binary.BigEndian.PutUint64(d[0:8], x.GetPart1())
	binary.BigEndian.PutUint64(d[8:16], x.GetPart2())
	binary.BigEndian.PutUint32(d[16:20], x.GetPart3())
	return d
}

// IsZero reports whether the sum is absent or all zero, as it is for a fragment
// that was never written to.
func (x *SHA1Sum) IsZero() bool {
	return x.GetPart1() == 0 && x.GetPart2() == 0 && x.GetPart3() == 0
}
