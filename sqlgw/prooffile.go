package sqlgw

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// proofFileName is the file's name in its directory. Its form is docs/format/proofs.md.
const proofFileName = "proofs"

// proofMagic begins the file; the format's version follows as one byte.
const proofMagic = "BSPROOF"

// proofFileVersion is the version of the file's format, which isn't that of a proof.
const proofFileVersion = 1

// proofHeader is the length of a record before its body: the body's length in two bytes and
// its CRC-32C in four, both big-endian.
const proofHeader = 6

// proofKeyLength is the length of a key in a body: the sum, then begin, end and schema.
const proofKeyLength = 20 + 3*8

// maxProofBody bounds a body: a key and the longest form of a proof.
const maxProofBody = proofKeyLength + 64

// staleRecords is how many records of no use a file may have beside as many as of use.
const staleRecords = 4096

// provenFragment is a proof and what it is of.
type provenFragment struct {
	key   proofKey
	proof columnar.Proof
}

// proofFile remembers proofs over restarts of the process. It is a help and no more: what
// can't be written or read is proven again, so that nothing of it is ever an error of a
// statement. A nil *proofFile remembers nothing.
type proofFile struct {
	path    string
	file    *os.File
	log     *slog.Logger
	records int
	most    int // records, above which the file is written anew
}

// openProofFile hands over what the file in a directory has, and makes it ready for more. It
// returns nil if there is no directory, or the file can't be used.
func openProofFile(ctx context.Context, dir string, log *slog.Logger, found func(proofKey, columnar.Proof)) *proofFile {
	if dir == "" {
		return nil
	}
	p := &proofFile{path: filepath.Join(dir, proofFileName), log: log, most: maxProofs + staleRecords}
	if err := p.open(ctx, found); err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "proofs of stored fragments won't be remembered over a restart",
			slog.String("file", p.path), slog.Any("error", err))
		p.close()
		return nil
	}
	return p
}

func (p *proofFile) open(ctx context.Context, found func(proofKey, columnar.Proof)) error {
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return err
	}
	var err error
	if p.file, err = os.OpenFile(p.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	size, err := p.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	whole, err := p.load(bufio.NewReaderSize(p.file, 1<<16), found)
	if err != nil {
		return err
	}
	if whole < size {
		p.log.LogAttrs(ctx, slog.LevelWarn, "the file of proofs has an end that can't be read, which is cut off",
			slog.String("file", p.path), slog.Int64("at", whole), slog.Int64("size", size))
		if err := p.file.Truncate(whole); err != nil {
			return err
		}
	}
	if whole == 0 {
		_, err = p.file.Write(append([]byte(proofMagic), proofFileVersion))
	}
	return err
}

// load reads records up to the first that isn't whole, and returns where that is. A file of
// another version is an error, and stays as it is.
func (p *proofFile) load(r io.Reader, found func(proofKey, columnar.Proof)) (int64, error) {
	head := make([]byte, len(proofMagic)+1)
	if _, err := io.ReadFull(r, head); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	if string(head[:len(proofMagic)]) != proofMagic {
		return 0, errors.New("it isn't a file of proofs")
	}
	if v := head[len(proofMagic)]; v != proofFileVersion {
		return 0, fmt.Errorf("its format is version %d, this program's is %d", v, proofFileVersion)
	}
	at := int64(len(head))
	buf := make([]byte, maxProofBody)
	for {
		body, err := readProofRecord(r, buf)
		if err != nil {
			return 0, err
		}
		if body == nil {
			return at, nil
		}
		at += proofHeader + int64(len(body))
		p.records++
		if f, ok := decodeProof(body); ok {
			found(f.key, f.proof)
		}
	}
}

// readProofRecord returns the body of the next record, nil if there is none that is whole.
func readProofRecord(r io.Reader, buf []byte) ([]byte, error) {
	var head [proofHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, unlessEOF(err)
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n < proofKeyLength || n > maxProofBody {
		return nil, nil
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		return nil, unlessEOF(err)
	}
	if crc32.Checksum(buf[:n], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(head[2:]) {
		return nil, nil
	}
	return buf[:n], nil
}

func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// decodeProof reads a body. A proof by other rules, or that isn't one of its key, is of no use.
func decodeProof(body []byte) (provenFragment, bool) {
	var f provenFragment
	copy(f.key.sum[:], body)
	numbers := body[len(f.key.sum):]
	f.key.begin = int64(binary.BigEndian.Uint64(numbers))
	f.key.end = int64(binary.BigEndian.Uint64(numbers[8:]))
	f.key.schema = binary.BigEndian.Uint64(numbers[16:])
	err := f.proof.UnmarshalBinary(body[proofKeyLength:])
	return f, err == nil && f.proof.Schema == f.key.schema && f.proof.Length == f.key.end-f.key.begin
}

// appendProofRecord appends a record.
func appendProofRecord(dst []byte, f provenFragment) ([]byte, error) {
	at := len(dst)
	dst = append(dst, make([]byte, proofHeader)...)
	dst = append(dst, f.key.sum[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.key.begin))
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.key.end))
	dst = binary.BigEndian.AppendUint64(dst, f.key.schema)
	dst, err := f.proof.AppendBinary(dst)
	if err != nil {
		return nil, err
	}
	body := dst[at+proofHeader:]
	binary.BigEndian.PutUint16(dst[at:], uint16(len(body)))
	binary.BigEndian.PutUint32(dst[at+2:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return dst, nil
}

// add remembers one more proof. All is what is known: once the file has much more than that,
// it is written anew.
func (p *proofFile) add(ctx context.Context, key proofKey, proof columnar.Proof, all func() []provenFragment) {
	if p == nil || p.file == nil {
		return
	}
	err := p.append(provenFragment{key, proof})
	if err == nil && p.records > p.most {
		err = p.rewrite(all())
	}
	if err != nil {
		p.log.LogAttrs(ctx, slog.LevelWarn, "proofs of stored fragments aren't remembered any more",
			slog.String("file", p.path), slog.Any("error", err))
		p.close()
	}
}

func (p *proofFile) append(f provenFragment) error {
	record, err := appendProofRecord(nil, f)
	if err != nil {
		return err
	}
	p.records++
	_, err = p.file.Write(record)
	return err
}

// rewrite puts a file of these proofs alone in the file's place.
func (p *proofFile) rewrite(all []provenFragment) error {
	temporary, err := os.OpenFile(p.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err = writeProofs(temporary, all); err == nil { // what isn't whole doesn't take the place of what is
		err = os.Rename(temporary.Name(), p.path)
	}
	if err != nil {
		return errors.Join(err, temporary.Close(), os.Remove(temporary.Name()))
	}
	err = p.file.Close()
	p.file, p.records = temporary, len(all)
	return err
}

func writeProofs(to *os.File, all []provenFragment) error {
	w := bufio.NewWriterSize(to, 1<<16)
	_, err := w.Write(append([]byte(proofMagic), proofFileVersion))
	var record []byte
	for i := 0; i < len(all) && err == nil; i++ {
		if record, err = appendProofRecord(record[:0], all[i]); err == nil {
			_, err = w.Write(record)
		}
	}
	return errors.Join(err, w.Flush(), to.Sync())
}

// close ends writing.
func (p *proofFile) close() {
	if p != nil && p.file != nil {
		_ = p.file.Close()
		p.file = nil
	}
}
