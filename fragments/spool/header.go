package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
)

// Version is the newest format version that this package reads, and the one that it
// writes.
const Version = 1

const (
	logMagic   = "BSSPOOL\n"
	headerHead = 112 // Bytes before the journal's name.
	maxHeader  = 1<<20 + 1<<16
	// maxRegisters bounds the encoded registers of a record, in bytes.
	maxRegisters = 1 << 20
)

// castagnoli is the polynomial of all CRCs here.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Flags of headers and of records.
const (
	flagRegisters = 1 << 0 // Registers follow; else they are unchanged. Commits only.
	flagDurable   = 1 << 1 // All up to the record's watermark was fsynced.
	flagSynced    = 1 << 2 // The epoch is of mode Synced. Headers and epoch records.
	flagSuspect   = 1 << 3 // The epoch began on a suspect spool. Headers and epoch records.
)

// header is the beginning of a log file: what the fragment is, and the journal's
// state when it began.
type header struct {
	salt     [8]byte // Random; part of every CRC, so that no content passes for a record.
	id       ID
	begin    int64
	previous int64 // End of the fragment before; -1 for the journal's first.
	created  int64 // Unix nanoseconds.
	disk     [16]byte
	epoch    epochStart
	codec    protocol.CompressionCodec
	// registers at begin.
	registers *protocol.LabelSet
	size      int64 // Bytes of the whole header.
}

// epochStart is how an epoch began.
type epochStart struct {
	epoch   int64
	mode    Mode
	suspect bool
	boot    [16]byte // Boot of the machine; zero if it isn't known.
}

func (e epochStart) flags() uint32 {
	var f uint32
	if e.mode == Synced {
		f |= flagSynced
	}
	if e.suspect {
		f |= flagSuspect
	}
	return f
}

func (e *epochStart) setFlags(f uint32) {
	e.mode, e.suspect = Replicated, f&flagSuspect != 0
	if f&flagSynced != 0 {
		e.mode = Synced
	}
}

// encode the header; its size is set.
func (h *header) encode() ([]byte, error) {
	registers, err := encodeRegisters(h.registers)
	if err != nil {
		return nil, err
	}
	h.size = padded(int64(headerHead + len(h.id.Journal) + len(registers) + crc32.Size))
	b := make([]byte, h.size)
	le := binary.LittleEndian
	copy(b, logMagic)
	le.PutUint32(b[8:], Version)
	le.PutUint32(b[12:], uint32(h.size))
	copy(b[16:], h.salt[:])
	le.PutUint64(b[24:], uint64(h.id.CreateRevision))
	le.PutUint64(b[32:], uint64(h.begin))
	le.PutUint64(b[40:], uint64(h.previous))
	le.PutUint64(b[48:], uint64(h.epoch.epoch))
	le.PutUint64(b[56:], uint64(h.created))
	copy(b[64:], h.disk[:])
	copy(b[80:], h.epoch.boot[:])
	le.PutUint32(b[96:], uint32(h.codec))
	le.PutUint32(b[100:], h.epoch.flags())
	le.PutUint32(b[104:], uint32(len(h.id.Journal)))
	le.PutUint32(b[108:], uint32(len(registers)))
	copy(b[headerHead:], h.id.Journal)
	copy(b[headerHead+len(h.id.Journal):], registers)
	le.PutUint32(b[h.size-crc32.Size:], crc32.Checksum(b[:h.size-crc32.Size], castagnoli))
	return b, nil
}

// readHeader reads the header of the named log file. What isn't the file system's
// error is a *FormatError or *CorruptError.
func readHeader(file string, r io.ReaderAt) (header, error) {
	head := make([]byte, headerHead)
	if n, err := r.ReadAt(head, 0); n < len(head) {
		if errors.Is(err, io.EOF) {
			return header{}, corrupt(file, 0, "the header is cut off")
		}
		return header{}, fmt.Errorf("read %s: %w", file, err)
	}
	le := binary.LittleEndian
	if !bytes.Equal(head[:8], []byte(logMagic)) {
		return header{}, corrupt(file, 0, "it doesn't begin as a spool's log")
	}
	if v := le.Uint32(head[8:]); v != Version {
		if v > Version {
			return header{}, &FormatError{File: file, Version: uint64(v), Known: Version}
		}
		return header{}, corrupt(file, 8, "format version %d never was", v)
	}
	size := int64(le.Uint32(head[12:]))
	if size < headerHead+crc32.Size || size > maxHeader || size != padded(size) {
		return header{}, corrupt(file, 12, "header of %d bytes", size)
	}
	b := make([]byte, size)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		if errors.Is(err, io.EOF) {
			return header{}, corrupt(file, 0, "the header is cut off")
		}
		return header{}, fmt.Errorf("read %s: %w", file, err)
	}
	if le.Uint32(b[size-crc32.Size:]) != crc32.Checksum(b[:size-crc32.Size], castagnoli) {
		return header{}, corrupt(file, 0, "the header doesn't have its checksum")
	}
	return decodeHeader(file, b)
}

// decodeHeader takes apart a header whose checksum is right.
func decodeHeader(file string, b []byte) (header, error) {
	le := binary.LittleEndian
	h := header{
		id:       ID{CreateRevision: int64(le.Uint64(b[24:]))},
		begin:    int64(le.Uint64(b[32:])),
		previous: int64(le.Uint64(b[40:])),
		created:  int64(le.Uint64(b[56:])),
		codec:    protocol.CompressionCodec(le.Uint32(b[96:])),
		size:     int64(len(b)),
	}
	copy(h.salt[:], b[16:])
	copy(h.disk[:], b[64:])
	h.epoch.epoch = int64(le.Uint64(b[48:]))
	h.epoch.setFlags(le.Uint32(b[100:]))
	copy(h.epoch.boot[:], b[80:])
	name, registers := uint64(le.Uint32(b[104:])), uint64(le.Uint32(b[108:]))
	if padded(int64(headerHead+name+registers+crc32.Size)) != h.size {
		return header{}, corrupt(file, 104, "header of %d bytes has a name of %d and registers of %d", h.size, name, registers)
	}
	h.id.Journal = string(b[headerHead : headerHead+name])
	set, err := decodeRegisters(b[headerHead+name : headerHead+name+registers])
	if err != nil {
		return header{}, corrupt(file, int64(headerHead+name), "registers: %v", err)
	}
	h.registers = set
	if err := h.codec.Validate(); err != nil {
		return header{}, corrupt(file, 96, "%v", err)
	}
	if h.begin < 0 || h.previous < -1 || h.previous > h.begin || h.epoch.epoch < 1 {
		return header{}, corrupt(file, 32, "begin %d, end before %d, epoch %d", h.begin, h.previous, h.epoch.epoch)
	}
	return h, nil
}

// padded is n, rounded up to a multiple of 8.
func padded(n int64) int64 { return (n + 7) &^ 7 }

func encodeRegisters(set *protocol.LabelSet) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("encode registers: %w", err)
	}
	if len(b) > maxRegisters {
		return nil, fmt.Errorf("registers take %d bytes, and a spool holds up to %d", len(b), maxRegisters)
	}
	return b, nil
}

func decodeRegisters(b []byte) (*protocol.LabelSet, error) {
	set := new(protocol.LabelSet)
	if err := proto.Unmarshal(b, set); err != nil {
		return nil, fmt.Errorf("decode registers: %w", err)
	}
	return set, nil
}
