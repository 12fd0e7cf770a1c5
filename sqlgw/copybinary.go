package sqlgw

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// copySignature begins the data of a COPY in binary. The zero and the newlines show what was taken for text on
// its way.
const copySignature = "PGCOPY\n\xff\r\n\x00"

// The flags of COPY in binary: the upper half is of what a reader has to know, and oids were in it.
const (
	copyFlagOIDs     = 1 << 16
	copyFlagCritical = 0xffff_0000
)

// copyTrailer is the number of fields that ends the data.
const copyTrailer = -1

// copyDecoder takes the data of a COPY in binary apart.
type copyDecoder struct {
	r     *bufio.Reader
	began bool
	row   int // its number
	size  int // bytes of the row so far
	field []byte
}

func newCopyDecoder(r io.Reader) *copyDecoder {
	return &copyDecoder{r: bufio.NewReaderSize(r, 64<<10)}
}

// begin a row, and return the number of its fields; io.EOF at the end.
func (d *copyDecoder) begin() (int, error) {
	if !d.began {
		d.began = true
		if err := d.header(); err != nil {
			return 0, err
		}
	}
	d.row++
	d.size = 0
	var buf [2]byte
	if err := d.read(buf[:], io.EOF); err != nil { // the trailer may be missing
		return 0, err
	}
	n := int(int16(binary.BigEndian.Uint16(buf[:])))
	if n != copyTrailer {
		return n, nil
	}
	if _, err := d.r.ReadByte(); err != nil {
		return 0, err
	}
	return 0, badCopyFormat("received copy data after EOF marker")
}

// read fills buf. At the end of the data the error is that of the caller.
func (d *copyDecoder) read(buf []byte, atEnd error) error {
	_, err := io.ReadFull(d.r, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return atEnd
	}
	return err
}

func (d *copyDecoder) header() error {
	signature := make([]byte, len(copySignature))
	notRecognized := badCopyFormat("COPY file signature not recognized")
	if err := d.read(signature, notRecognized); err != nil {
		return err
	}
	if string(signature) != copySignature {
		return notRecognized
	}
	var word [4]byte
	if err := d.read(word[:], badCopyFormat("invalid COPY file header (missing flags)")); err != nil {
		return err
	}
	switch flags := binary.BigEndian.Uint32(word[:]); {
	case flags&copyFlagOIDs != 0:
		return badCopyFormat("invalid COPY file header (WITH OIDS)")
	case flags&copyFlagCritical != 0:
		return badCopyFormat("unrecognized critical flags in COPY file header")
	}
	if err := d.read(word[:], badCopyFormat("invalid COPY file header (missing length)")); err != nil {
		return err
	}
	extension := int32(binary.BigEndian.Uint32(word[:]))
	if extension < 0 {
		return badCopyFormat("invalid COPY file header (missing length)")
	}
	if _, err := io.CopyN(io.Discard, d.r, int64(extension)); errors.Is(err, io.EOF) {
		return badCopyFormat("invalid COPY file header (wrong length)")
	} else if err != nil {
		return err
	}
	return nil
}

// value reads the next field, valid until the next call; nil is NULL. Memory is taken as its bytes
// arrive.
func (d *copyDecoder) value() ([]byte, error) {
	unexpected := badCopyFormat("unexpected EOF in COPY data")
	var word [4]byte
	if err := d.read(word[:], unexpected); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(word[:])))
	switch {
	case n == -1:
		return nil, nil
	case n < 0:
		return nil, badCopyFormat("invalid field size")
	case d.size+n > maxCopyLine:
		return nil, copyTooLong()
	}
	d.size += n
	const atOnce = 64 << 10
	d.field = slices.Grow(d.field[:0], max(1, min(n, atOnce))) // not nil, which is NULL
	for len(d.field) < n {
		from := len(d.field)
		d.field = slices.Grow(d.field, min(n-from, atOnce))[:from+min(n-from, atOnce)]
		if err := d.read(d.field[from:], unexpected); err != nil {
			return nil, err
		}
	}
	return d.field[:n:n], nil
}

// binaryRows are the rows of a COPY FROM in binary.
type binaryRows struct {
	copyTarget
	decoder *copyDecoder
	at      int // the column that is being read, -1 between rows
}

func (r *binaryRows) from(data io.Reader) { r.decoder = newCopyDecoder(data) }

// next appends the next row's values, and returns how many bytes they have; io.EOF at the end.
func (r *binaryRows) next(into []*columnar.VectorBuilder) (int, error) {
	r.at = -1
	n, err := r.decoder.begin()
	if err != nil {
		return 0, err
	}
	if n != len(r.cols) {
		return 0, badCopyFormat("row field count is %d, expected %d", n, len(r.cols))
	}
	for i := range r.cols {
		r.at = i
		b, err := r.decoder.value()
		switch {
		case err != nil:
			return 0, err
		case b == nil:
			into[i].AppendNull()
		default:
			err = columnar.ParseBinary(r.column(i).Type, b, into[i])
		}
		if err != nil {
			return 0, inputError(err, "")
		}
	}
	r.at = -1
	return r.decoder.size, nil
}

// place is where an error was found; the header is none.
func (r *binaryRows) place() string {
	if r.decoder.row == 0 {
		return ""
	}
	where := fmt.Sprintf("COPY %s, line %d", r.table.Name, r.decoder.row)
	if r.at >= 0 {
		where += ", column " + r.column(r.at).Name
	}
	return where
}
