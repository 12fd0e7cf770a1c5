package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"broadsheet.dev/broadsheet/protocol"
)

// recordType says what a record of the log tells.
type recordType uint8

// The numbers are part of the format.
const (
	recordCommit   recordType = 1 // An append: bytes [begin, end) with their CRC.
	recordOpening  recordType = 2 // The journal was opened.
	recordMark     recordType = 3 // What is promised, written when nothing else would carry it.
	recordComplete recordType = 4 // The fragment ends, with its SHA-1; the next one exists.
	recordClean    recordType = 5 // The journal was closed, and all is durable.
	recordDropped  recordType = 6 // The store has the fragment: its data may be gone.
	recordCut      recordType = 7 // As complete, but at an end below that of the last append: the rest is void.
)

// String is the type's name.
func (t recordType) String() string {
	names := [...]string{
		recordCommit: "commit", recordOpening: "opening", recordMark: "mark",
		recordComplete: "complete", recordClean: "clean", recordDropped: "dropped", recordCut: "cut",
	}
	if int(t) < len(names) && names[t] != "" {
		return names[t]
	}
	return "unknown"
}

const (
	recordHead      = 48 // Bytes that records of all types begin with.
	commitHead      = recordHead + 8
	openingRecord   = recordHead + 16
	completeRecord  = recordHead + 24
	maxRecord       = commitHead + 8 + MaxRegisters
	positionOfBegin = recordHead
)

// record is one entry of a log.
type record struct {
	kind     recordType
	durable  bool   // All up to promised was fsynced, not just written.
	dataCRC  uint32 // Of the append's bytes; commits only.
	opening  int64  // Number of the opening in which it was written.
	end      int64  // The fragment's end, as of this record.
	promised int64  // Every byte below was durable here, as the mode has it, so others may count on it.
	nanos    int64  // Unix time of writing.

	begin     int64              // Commits only.
	registers *protocol.LabelSet // Commits only; nil if unchanged.
	start     openingStart       // Openings only; its number is that of the record.
	sum       [20]byte           // Completes and cuts only.
}

// checksum of a record at a position of a log. Both are part of it, so that neither
// content nor a record of another place is taken for a record of this one.
func checksum(salt [8]byte, position int64, b []byte) uint32 {
	// Byte by byte, as a slice of the two would be made anew for each record.
	crc := ^uint32(0)
	for _, v := range [2]uint64{binary.LittleEndian.Uint64(salt[:]), uint64(position)} {
		for range 8 {
			crc = castagnoli[byte(crc)^byte(v)] ^ crc>>8
			v >>= 8
		}
	}
	return crc32.Update(^crc, castagnoli, b[4:])
}

// appendTo appends the record as it is written at a position of a log.
func (r *record) appendTo(dst []byte, salt [8]byte, position int64) ([]byte, error) {
	at := len(dst)
	dst = append(dst, make([]byte, recordHead)...)
	le := binary.LittleEndian
	flags := uint8(0)
	if r.durable {
		flags |= flagDurable
	}
	switch r.kind {
	case recordCommit:
		dst = le.AppendUint64(dst, uint64(r.begin))
		if r.registers != nil {
			flags |= flagRegisters
			registers, err := encodeRegisters(r.registers)
			if err != nil {
				return dst[:at], err
			}
			dst = le.AppendUint32(dst, uint32(len(registers)))
			dst = append(dst, registers...)
		}
	case recordOpening:
		flags |= uint8(r.start.flags())
		dst = append(dst, r.start.boot[:]...)
	case recordComplete, recordCut:
		dst = append(dst, r.sum[:]...)
	case recordMark, recordClean, recordDropped:
	}
	for (len(dst)-at)%8 != 0 {
		dst = append(dst, 0)
	}
	b := dst[at:]
	le.PutUint32(b[4:], uint32(len(b)))
	b[8], b[9] = uint8(r.kind), flags
	le.PutUint32(b[12:], r.dataCRC)
	le.PutUint64(b[16:], uint64(r.opening))
	le.PutUint64(b[24:], uint64(r.end))
	le.PutUint64(b[32:], uint64(r.promised))
	le.PutUint64(b[40:], uint64(r.nanos))
	le.PutUint32(b, checksum(salt, position, b))
	return dst, nil
}

// plausibleLength returns the length that the head of a record claims, if a record
// can have it.
func plausibleLength(head []byte) (int, bool) {
	length := binary.LittleEndian.Uint32(head[4:])
	if length < recordHead || length > maxRecord || length%8 != 0 {
		return 0, false
	}
	var fixed uint32
	switch recordType(head[8]) {
	case recordCommit:
		return int(length), length >= commitHead
	case recordOpening:
		fixed = openingRecord
	case recordComplete, recordCut:
		fixed = completeRecord
	case recordMark, recordClean, recordDropped:
		fixed = recordHead
	}
	return int(length), length == fixed
}

var errRecord = errors.New("no record")

// decodeRecord takes apart the bytes of a record whose length is plausible. An
// error means that there is no such record at the position.
func decodeRecord(salt [8]byte, position int64, b []byte) (record, error) {
	le := binary.LittleEndian
	if le.Uint32(b) != checksum(salt, position, b) {
		return record{}, errRecord
	}
	r := record{
		kind:     recordType(b[8]),
		durable:  b[9]&flagDurable != 0,
		dataCRC:  le.Uint32(b[12:]),
		opening:  int64(le.Uint64(b[16:])),
		end:      int64(le.Uint64(b[24:])),
		promised: int64(le.Uint64(b[32:])),
		nanos:    int64(le.Uint64(b[40:])),
	}
	switch r.kind {
	case recordCommit:
		r.begin = int64(le.Uint64(b[positionOfBegin:]))
		return r, r.decodeRegisters(b[commitHead:], b[9]&flagRegisters != 0)
	case recordOpening:
		r.start.opening = r.opening
		r.start.setFlags(uint32(b[9]))
		copy(r.start.boot[:], b[recordHead:])
	case recordComplete, recordCut:
		copy(r.sum[:], b[recordHead:])
	case recordMark, recordClean, recordDropped:
	}
	return r, nil
}

func (r *record) decodeRegisters(b []byte, present bool) error {
	if !present {
		if len(b) != 0 {
			return errRecord
		}
		return nil
	}
	if len(b) < 4 {
		return errRecord
	}
	length := int64(binary.LittleEndian.Uint32(b))
	if padded(commitHead+4+length) != int64(commitHead+len(b)) {
		return errRecord
	}
	set, err := decodeRegisters(b[4 : 4+length])
	if err != nil {
		return err
	}
	r.registers = set
	return nil
}
