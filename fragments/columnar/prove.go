package columnar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
)

// Prover finds out what a fragment's content is under a schema.
type Prover struct {
	decoder     *lineDecoder
	acks        acks
	fingerprint uint64
	readable    bool
	err         error
}

// Proof is what is known of a content under a schema. It is a function of the two and
// of nothing else, so that it can be remembered as long as both exist.
type Proof struct {
	// Schema is the Fingerprint of the schema that the proof is for.
	Schema uint64
	// Length is the content's length in bytes.
	Length int64
	// Rows and Rejects count the whole lines that are rows and that aren't. A line without
	// its newline at the end of the content is neither.
	Rows    int64
	Rejects int64
	// EndsInNewline tells that no line goes on after the content. It also holds of an
	// empty content.
	EndsInNewline bool
	// Clean tells that DuckDB's read_json, with the explicit columns of the schema, reads
	// the content as exactly the rows that a Scanner reads: there are no rejects, all
	// lines end, and each value stands in a form that both take for the same. It supposes
	// that the content begins with a line: who knows the fragment before it knows that
	// from EndsInNewline.
	Clean bool
}

// NewProver makes a prover for the schema. A schema that Validate refuses makes Prove fail.
func NewProver(schema Schema) *Prover {
	p := &Prover{fingerprint: schema.Fingerprint(), readable: schema.CleanReadable()}
	switch p.err = schema.Validate(); {
	case p.err != nil:
	case schema.Format != nil:
		p.err = errNoProof
	default:
		p.decoder = newLineDecoder(schema, func(int) bool { return false })
		p.decoder.proving = true
		p.acks = schema.acks()
	}
	return p
}

// errNoProof: DuckDB reads lines of JSON, and nothing else.
var errNoProof = errors.New("only lines of JSON are proven")

// Prove reads the content to its end. Its errors are those of the reader.
func (p *Prover) Prove(content io.Reader) (Proof, error) {
	if p.err != nil {
		return Proof{}, p.err
	}
	proof := Proof{Schema: p.fingerprint, Clean: p.readable, EndsInNewline: true}
	lines := lineReader{r: content, left: -1, maxLine: MaxLine}
	for {
		n, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			proof.Length = lines.total
			proof.EndsInNewline = lines.offset == lines.total
			proof.Clean = proof.Clean && proof.Rejects == 0 && proof.EndsInNewline
			return proof, nil
		case err != nil:
			return Proof{}, err
		case n.length > MaxLine:
			proof.Rejects++
		case skipBlanks(n.bytes, 0) == len(n.bytes):
		case p.acks.has(n.bytes):
			proof.Clean = false // DuckDB would take it for a row
		case p.decoder.decode(n.bytes):
			proof.Rows++
			proof.Clean = proof.Clean && !p.decoder.dirty
		default:
			proof.Rejects++
		}
	}
}

// CleanReadable tells whether DuckDB's read_json can read values of the type at all,
// given a content that is clean: bytea as VARCHAR through unhex(substr(c, 3)), char(n)
// as VARCHAR through rpad, all others as DuckDB names them. It holds for every type
// that there is but arrays; a type that is added has to earn it.
func (t Type) CleanReadable() bool { return t.Kind.Valid() && t.Kind != Array }

// CleanReadable tells whether any content can be clean under the schema. DuckDB can't
// read a table without columns, or one with columns whose names differ in nothing but
// case, in lines or in the table, or one of another format than JSON.
func (s Schema) CleanReadable() bool {
	if s.Format != nil {
		return false
	}
	names, keys := make(map[string]bool, len(s.Columns)), make(map[string]bool, len(s.Columns))
	for _, c := range s.Columns {
		name, key := strings.ToLower(c.Name), strings.ToLower(c.LineKey())
		if names[name] || keys[key] || !c.Type.CleanReadable() {
			return false
		}
		names[name], keys[key] = true, true
	}
	return len(s.Columns) > 0
}

// Fingerprint is a number that schemas share which have the same columns, and the same place for UUIDs, whatever
// their version, and what they call the columns that lines call the same. It is stable between builds.
func (s Schema) Fingerprint() uint64 {
	h := fnv.New64a()
	buf := binary.AppendUvarint(nil, uint64(len(s.Columns)))
	for _, c := range s.Columns {
		key := c.LineKey()
		buf = binary.AppendUvarint(buf, uint64(len(key)))
		buf = append(buf, key...)
		notNull := byte(0)
		if c.NotNull {
			notNull = 1
		}
		buf = append(buf, byte(c.Type.Kind), c.Type.Precision, c.Type.Scale, notNull)
		buf = binary.AppendVarint(buf, int64(c.Type.Length))
		if c.Type.Kind == Array {
			buf = append(buf, byte(c.Type.Element))
		}
	}
	for i, c := range s.Columns { // behind all others, so that schemas without any are as they were
		if c.Missing != "" {
			buf = binary.AppendUvarint(buf, uint64(i))
			buf = binary.AppendUvarint(buf, uint64(len(c.Missing)))
			buf = append(buf, c.Missing...)
		}
	}
	if s.Messages != "" { // likewise; no column has that number
		buf = binary.AppendUvarint(buf, uint64(len(s.Columns)))
		buf = append(buf, s.Messages...)
	}
	if s.Format != nil {
		buf = s.Format.AppendIdentity(buf)
	}
	// A hash doesn't fail to write.
	_, _ = h.Write(buf)
	return h.Sum64()
}

// proofVersion is the version of both a proof's form and the rules that it was made by.
// It must change whenever rows.md's rules do, for then all proofs are to be made anew.
const proofVersion = 1

const (
	proofClean = 1 << iota
	proofEndsInNewline
)

// ErrProofVersion tells that a proof was made by other rules, and must be made anew.
var ErrProofVersion = errors.New("the proof is of another version")

var errProofForm = errors.New("not a proof")

// AppendBinary appends the proof's serialised form: a version byte, a byte of flags (1
// clean, 2 ends in a newline), the schema's fingerprint as eight bytes in big-endian
// order, then length, rows and rejects as unsigned varints. The error is always nil.
func (p Proof) AppendBinary(dst []byte) ([]byte, error) {
	flags := byte(0)
	if p.Clean {
		flags |= proofClean
	}
	if p.EndsInNewline {
		flags |= proofEndsInNewline
	}
	dst = append(dst, proofVersion, flags)
	dst = binary.BigEndian.AppendUint64(dst, p.Schema)
	dst = binary.AppendUvarint(dst, uint64(p.Length))
	dst = binary.AppendUvarint(dst, uint64(p.Rows))
	return binary.AppendUvarint(dst, uint64(p.Rejects)), nil
}

// MarshalBinary is AppendBinary to nothing.
func (p Proof) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// UnmarshalBinary reads what AppendBinary wrote, and nothing else. A proof by other
// rules gives ErrProofVersion.
func (p *Proof) UnmarshalBinary(b []byte) error {
	if len(b) > 0 && b[0] != proofVersion {
		return fmt.Errorf("version %d: %w", b[0], ErrProofVersion)
	}
	if len(b) < 10 || b[1]&^(proofClean|proofEndsInNewline) != 0 {
		return errProofForm
	}
	q := Proof{Clean: b[1]&proofClean != 0, EndsInNewline: b[1]&proofEndsInNewline != 0, Schema: binary.BigEndian.Uint64(b[2:])}
	rest := b[10:]
	for _, to := range []*int64{&q.Length, &q.Rows, &q.Rejects} {
		u, n := binary.Uvarint(rest)
		if n <= 0 || int64(u) < 0 {
			return errProofForm
		}
		*to = int64(u)
		rest = rest[n:]
	}
	if len(rest) > 0 || q.Rows > q.Length || q.Rejects > q.Length || (q.Clean && (q.Rejects > 0 || !q.EndsInNewline)) {
		return errProofForm
	}
	*p = q
	return nil
}
