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
// writes. It reads all before.
const Version = 2

const (
	logMagic   = "BSSPOOL\n"
	headerHead = 120 // Bytes before the journal's name.
	headerV1   = 112 // Likewise in version 1, which had no cluster epochs.
	maxHeader  = 1<<20 + 1<<16
	// MaxRegisters bounds the encoded registers of a record, in bytes.
	MaxRegisters = 1 << 20
)

// castagnoli is the polynomial of all CRCs here.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Flags of headers and of records.
const (
	flagRegisters = 1 << 0 // Registers follow; else they are unchanged. Commits only.
	flagDurable   = 1 << 1 // All up to the record's promised end was fsynced.
	flagSynced    = 1 << 2 // The opening is of mode Synced. Headers and opening records.
	flagSuspect   = 1 << 3 // It began on a suspect spool. Headers and opening records.
	flagCut       = 1 << 4 // What the fragment before has from previous on is void. Headers only.
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
	start    openingStart
	epoch    int64 // Cluster epoch of the fragment; 0 if there is none.
	cut      bool  // What the fragment before has from previous on is void.
	version  uint32
	codec    protocol.CompressionCodec
	// registers at begin.
	registers *protocol.LabelSet
	size      int64 // Bytes of the whole header.
}

// openingStart is how an opening of the journal began. They are numbered.
type openingStart struct {
	opening int64
	mode    Mode
	suspect bool
	boot    [16]byte // Boot of the machine; zero if it isn't known.
}

func (o openingStart) flags() uint32 {
	var f uint32
	if o.mode == Synced {
		f |= flagSynced
	}
	if o.suspect {
		f |= flagSuspect
	}
	return f
}

func (o *openingStart) setFlags(f uint32) {
	o.mode, o.suspect = Replicated, f&flagSuspect != 0
	if f&flagSynced != 0 {
		o.mode = Synced
	}
}

func (h *header) flags() uint32 {
	f := h.start.flags()
	if h.cut {
		f |= flagCut
	}
	return f
}

// discards tells whether the header says that all fragments before are void.
func (h *header) discards() bool { return h.cut && h.previous < 0 }

// encode the header; its size and version are set.
func (h *header) encode() ([]byte, error) {
	registers, err := encodeRegisters(h.registers)
	if err != nil {
		return nil, err
	}
	h.version = Version
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
	le.PutUint64(b[48:], uint64(h.start.opening))
	le.PutUint64(b[112:], uint64(h.epoch))
	le.PutUint64(b[56:], uint64(h.created))
	copy(b[64:], h.disk[:])
	copy(b[80:], h.start.boot[:])
	le.PutUint32(b[96:], uint32(h.codec))
	le.PutUint32(b[100:], h.flags())
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
	head := make([]byte, headerV1)
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
	switch v := le.Uint32(head[8:]); {
	case v > Version:
		return header{}, &FormatError{File: file, Version: uint64(v), Known: Version}
	case v < 1:
		return header{}, corrupt(file, 8, "format version %d never was", v)
	}
	size := int64(le.Uint32(head[12:]))
	if size < headerV1+crc32.Size || size > maxHeader || size != padded(size) {
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
	head := uint64(headerV1)
	h := header{
		version:  le.Uint32(b[8:]),
		id:       ID{CreateRevision: int64(le.Uint64(b[24:]))},
		begin:    int64(le.Uint64(b[32:])),
		previous: int64(le.Uint64(b[40:])),
		created:  int64(le.Uint64(b[56:])),
		codec:    protocol.CompressionCodec(le.Uint32(b[96:])),
		size:     int64(len(b)),
	}
	copy(h.salt[:], b[16:])
	copy(h.disk[:], b[64:])
	h.start.opening = int64(le.Uint64(b[48:]))
	flags := le.Uint32(b[100:])
	h.start.setFlags(flags)
	copy(h.start.boot[:], b[80:])
	if h.version > 1 {
		if head = headerHead; len(b) < headerHead+crc32.Size {
			return header{}, corrupt(file, 12, "header of %d bytes", len(b))
		}
		h.epoch, h.cut = int64(le.Uint64(b[headerV1:])), flags&flagCut != 0
	}
	name, registers := uint64(le.Uint32(b[104:])), uint64(le.Uint32(b[108:]))
	if padded(int64(head+name+registers+crc32.Size)) != h.size {
		return header{}, corrupt(file, 104, "header of %d bytes has a name of %d and registers of %d", h.size, name, registers)
	}
	h.id.Journal = string(b[head : head+name])
	set, err := decodeRegisters(b[head+name : head+name+registers])
	if err != nil {
		return header{}, corrupt(file, int64(head+name), "registers: %v", err)
	}
	h.registers = set
	if err := h.codec.Validate(); err != nil {
		return header{}, corrupt(file, 96, "%v", err)
	}
	if h.begin < 0 || h.previous < -1 || h.previous > h.begin || h.start.opening < 1 || h.epoch < 0 {
		return header{}, corrupt(file, 32, "begin %d, end before %d, opening %d, cluster epoch %d",
			h.begin, h.previous, h.start.opening, h.epoch)
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
	if len(b) > MaxRegisters {
		return nil, fmt.Errorf("registers take %d bytes, and a spool holds up to %d", len(b), MaxRegisters)
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
