package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// A write that a crash tore and a bit that flipped on the disk both leave a record, or
// data, without its checksum. The first may be cut if nothing proves that it was
// promised; to cut the second would lose an append. They can be told apart: a CRC
// knows which bit is wrong if it is only one, and torn bytes don't look like that.

// flippedBit returns which bit of a message of length bytes to flip so that it has
// the checksum that is wanted, counted from its end; or -1 if no single one does.
func flippedBit(length int64, got, want uint32) int64 {
	// What a flipped bit does to the sum depends only on how far from the end it is.
	effect, wanted := uint32(crc32.Castagnoli), got^want
	for i := range length * 8 {
		if effect == wanted {
			return i
		}
		if effect&1 == 0 {
			effect >>= 1
		} else {
			effect = effect>>1 ^ crc32.Castagnoli
		}
	}
	return -1
}

// repair returns the record that b, which is at a position of a log, begins with,
// but for one flipped bit.
func repair(salt [8]byte, position int64, b []byte) (record, bool) {
	if len(b) < recordHead {
		return record{}, false
	}
	declared := binary.LittleEndian.Uint32(b[4:])
	for i := range 33 {
		length := declared
		if i < 32 {
			length ^= 1 << i
		}
		if length < recordHead || length%8 != 0 || uint64(length) > uint64(len(b)) {
			continue
		}
		c := bytes.Clone(b[:length])
		binary.LittleEndian.PutUint32(c[4:], length)
		got, want := checksum(salt, position, c), binary.LittleEndian.Uint32(c)
		if got != want && i == 32 && bits.OnesCount32(got^want) > 1 {
			at := flippedBit(int64(length)-4, got, want)
			if at < 0 {
				continue
			}
			c[int64(length)-1-at/8] ^= 0x80 >> (at % 8)
		} else if got != want && i == 32 {
			binary.LittleEndian.PutUint32(c, got) // The bit is in the checksum itself.
		}
		if n, ok := plausibleLength(c); !ok || n != len(c) {
			continue
		}
		if r, err := decodeRecord(salt, position, c); err == nil {
			return r, true
		}
	}
	return record{}, false
}
