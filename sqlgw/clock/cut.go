package clock

import (
	"cmp"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/protocol"
)

// Place is an offset of a journal.
type Place struct {
	Journal string
	// Revision at which the journal was created: one that was made again under its name is
	// another journal.
	Revision int64
	Offset   int64
}

// Cut is a place of each of some journals: where a statement read them. Its text (String, ParseCut)
// is docs/format/cut.md.
type Cut struct {
	// Revision of etcd at which the journals were looked up: one that was created later isn't missing
	// from the cut, it has no rows in it.
	Revision int64
	// Places in the order of their journals, none twice.
	Places []Place
}

// MaxCutText is the longest text of a cut, in bytes: some fifty thousand journals.
const MaxCutText = 1 << 20

const cutPrefix = "cut:1:"

// maxNames bounds the names of a cut's journals, in bytes, which its text doesn't repeat.
const maxNames = 8 << 20

// NewCut returns a cut of places in any order, none of them of one journal.
func NewCut(revision int64, places []Place) Cut {
	slices.SortFunc(places, func(a, b Place) int { return cmp.Compare(a.Journal, b.Journal) })
	return Cut{Revision: revision, Places: places}
}

// Place of a journal.
func (c Cut) Place(journal string) (Place, bool) {
	i, ok := slices.BinarySearchFunc(c.Places, journal, func(p Place, j string) int { return cmp.Compare(p.Journal, j) })
	if !ok {
		return Place{}, false
	}
	return c.Places[i], true
}

func cutEncoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// String is the cut's text.
func (c Cut) String() string {
	b := binary.AppendUvarint(nil, uint64(c.Revision)) //nolint:gosec // not negative
	last := ""
	for _, p := range c.Places {
		shared := 0
		for shared < min(len(last), len(p.Journal)) && last[shared] == p.Journal[shared] {
			shared++
		}
		b = binary.AppendUvarint(b, uint64(shared))
		b = binary.AppendUvarint(b, uint64(len(p.Journal)-shared))
		b = append(b, p.Journal[shared:]...)
		b = binary.AppendUvarint(b, uint64(p.Revision)) //nolint:gosec // not negative
		b = binary.AppendUvarint(b, uint64(p.Offset))   //nolint:gosec // not negative
		last = p.Journal
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return cutPrefix + cutEncoding().EncodeToString(b)
}

// ParseCut reads the text of a cut.
func ParseCut(text string) (Cut, error) {
	if len(text) > MaxCutText {
		return Cut{}, fmt.Errorf("a cut has at most %d bytes, this has %d", MaxCutText, len(text))
	}
	body, ours := strings.CutPrefix(text, cutPrefix)
	if !ours {
		if rest, ok := strings.CutPrefix(text, "cut:"); ok {
			version, _, _ := strings.Cut(rest, ":")
			return Cut{}, fmt.Errorf("cut of version %.10q: this is version 1", version)
		}
		return Cut{}, fmt.Errorf("a cut begins with %q", cutPrefix)
	}
	b, err := cutEncoding().DecodeString(body)
	if err != nil || len(b) < 4 || cutEncoding().EncodeToString(b) != body {
		return Cut{}, errors.New("the text of a cut is damaged")
	}
	b, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return Cut{}, errors.New("the text of a cut is damaged: its checksum isn't right")
	}
	return decodeCut(b)
}

func decodeCut(b []byte) (Cut, error) {
	d := decoder{left: b}
	c := Cut{Revision: d.number()}
	last, names := "", 0
	for !d.bad && len(d.left) > 0 {
		shared := d.number()
		if shared > int64(len(last)) {
			return Cut{}, fmt.Errorf("a cut whose place %d shares more than there is", len(c.Places))
		}
		p := Place{Journal: last[:shared] + d.text(), Revision: d.number(), Offset: d.number()}
		switch {
		case d.bad:
		case protocol.ValidateJournalName(p.Journal) != nil:
			return Cut{}, fmt.Errorf("a cut with a journal of the name %.100q", p.Journal)
		case p.Journal <= last:
			return Cut{}, fmt.Errorf("a cut with journal %s after %s", p.Journal, last)
		case p.Revision == 0:
			return Cut{}, fmt.Errorf("a cut with journal %s at revision 0", p.Journal)
		}
		if names += len(p.Journal); names > maxNames {
			return Cut{}, fmt.Errorf("a cut whose journals have names of more than %d bytes", maxNames)
		}
		c.Places = append(c.Places, p)
		last = p.Journal
	}
	if d.bad {
		return Cut{}, errors.New("a cut that ends too early, or has a number that is too large")
	}
	return c, nil
}

// decoder reads numbers and texts; bad tells that one wasn't there.
type decoder struct {
	left []byte
	bad  bool
}

func (d *decoder) number() int64 {
	v, n := binary.Uvarint(d.left)
	if n <= 0 || v > 1<<62 {
		d.bad, d.left = true, nil
		return 0
	}
	d.left = d.left[n:]
	return int64(v) //nolint:gosec // checked
}

func (d *decoder) text() string {
	n := d.number()
	if n > int64(len(d.left)) {
		d.bad, d.left = true, nil
		return ""
	}
	s := string(d.left[:n])
	d.left = d.left[n:]
	return s
}
