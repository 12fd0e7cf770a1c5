package spool

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"broadsheet.dev/broadsheet/protocol"
)

// DumpLog describes a log, a line for its header and for each record.
func DumpLog(name string, r io.ReaderAt, size int64) string {
	h, err := readHeader(name, r)
	if err != nil {
		return err.Error() + "\n"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%6d header: journal %s revision %d begin %d previous end %d", 0, h.id.Journal, h.id.CreateRevision, h.begin, h.previous)
	if h.cut {
		out.WriteString(" cut")
	}
	fmt.Fprintf(&out, " epoch %d opening %d %v codec %v%s\n", h.epoch, h.start.opening, h.start.mode, h.codec, describe(h.registers))
	l := &logReader{r: r, name: name, salt: h.salt, size: size, position: h.size}
	for l.position < l.size {
		at := l.position
		r, length, err := l.decode()
		if err != nil || length == 0 {
			fmt.Fprintf(&out, "%6d no record, %d bytes to the end\n", at, size-at)
			break
		}
		l.position += length
		fmt.Fprintf(&out, "%6d %v: opening %d", at, r.kind, r.opening)
		if r.kind == recordCommit {
			fmt.Fprintf(&out, " [%d, %d)", r.begin, r.end)
		} else {
			fmt.Fprintf(&out, " end %d", r.end)
		}
		fmt.Fprintf(&out, " promised %d", r.promised)
		if r.durable {
			out.WriteString(" durable")
		}
		if r.kind == recordOpening {
			fmt.Fprintf(&out, " %v", r.start.mode)
			if r.start.suspect {
				out.WriteString(" suspect")
			}
		}
		if r.registers != nil {
			out.WriteString(describe(r.registers))
		}
		if r.kind == recordComplete || r.kind == recordCut {
			fmt.Fprintf(&out, " sum %s", hex.EncodeToString(r.sum[:4]))
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func describe(set *protocol.LabelSet) string {
	var out strings.Builder
	for _, l := range set.GetLabels() {
		fmt.Fprintf(&out, " %s=%s", l.GetName(), l.GetValue())
	}
	return out.String()
}

// ReadLog reads a log as recovery does, and then on as it looks for proof. It returns
// how many records it saw.
func ReadLog(r io.ReaderAt, size int64) (int, error) {
	h, err := readHeader("fuzz", r)
	if err != nil {
		return 0, err
	}
	if b, err := h.encode(); err != nil || int64(len(b)) != h.size {
		return 0, fmt.Errorf("header of %d bytes becomes %d: %w", h.size, len(b), err)
	}
	l := &logReader{r: r, name: "fuzz", salt: h.salt, size: size, position: h.size}
	for n := 0; ; n++ {
		at := l.position
		_, ok, err := l.find()
		if err != nil || !ok {
			return n, err
		}
		if l.position <= at || l.position > size {
			return n, fmt.Errorf("from %d to %d", at, l.position)
		}
	}
}

// Encoded are the bytes of a header and of one record of each kind, by name.
func Encoded() (map[string][]byte, error) {
	set := protocol.MustLabelSet("author", "me")
	start := openingStart{opening: 7, mode: Synced, suspect: true, boot: [16]byte{0xb0, 15: 0xbf}}
	h := header{
		salt: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, id: ID{Journal: "a/b", CreateRevision: 42}, begin: 1000, previous: 900,
		created: 1_700_000_000_000_000_000, disk: [16]byte{0xd0, 15: 0xdf}, start: start, epoch: 5, cut: true,
		codec: protocol.CompressionCodec_GZIP, registers: set,
	}
	b, err := h.encode()
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{"header": b}
	for _, r := range []record{
		{kind: recordCommit, begin: 1000, dataCRC: 0x01020304, registers: set},
		{kind: recordOpening, start: start},
		{kind: recordMark},
		{kind: recordComplete, sum: [20]byte{0xa0, 19: 0xaf}},
		{kind: recordClean},
		{kind: recordDropped},
		{kind: recordCut, sum: [20]byte{0xc0, 19: 0xcf}},
	} {
		r.durable, r.opening, r.end, r.promised, r.nanos = true, 7, 1010, 990, 1_700_000_000_000_000_001
		if out[r.kind.String()], err = r.appendTo(nil, h.salt, 256); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ForgeSum gives the record by which a fragment is complete another SHA-1.
func ForgeSum(f vfs.File, size int64) error {
	h, err := readHeader("forged", f)
	if err != nil {
		return err
	}
	l := &logReader{r: f, name: "forged", salt: h.salt, size: size, position: h.size}
	for {
		r, ok, err := l.find()
		if err != nil || !ok {
			return fmt.Errorf("no complete record: %w", err)
		}
		if r.kind == recordComplete {
			at := l.position - completeRecord
			r.sum[0] ^= 1
			b, err := r.appendTo(nil, h.salt, at)
			if err == nil {
				_, err = f.WriteAt(b, at)
			}
			return err
		}
	}
}
