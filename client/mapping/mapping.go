package mapping

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"

	"broadsheet.dev/broadsheet/protocol"
)

// ErrNoPartitions is of a mapping over no journals. They may yet be created.
var ErrNoPartitions = errors.New("there are no partitions to map to")

// Partition is a journal that messages are mapped to.
type Partition struct {
	// Journal is its name.
	Journal string
	// ContentType is its label of that name, which says how its messages are framed;
	// empty if it has none.
	ContentType string
}

// Partitions are the journals to choose among, in the order of their names. They don't
// change once made; nil has none.
type Partitions struct {
	all    []Partition
	hashes []uint32 // of the names
}

// Of returns the partitions that a listing has.
func Of(journals []*protocol.ListResponse_Journal) *Partitions {
	p := &Partitions{all: make([]Partition, 0, len(journals)), hashes: make([]uint32, 0, len(journals))}
	for _, j := range journals {
		p.all = append(p.all, Partition{
			Journal:     j.GetSpec().GetName(),
			ContentType: j.GetSpec().GetLabels().ValueOf("content-type"),
		})
	}
	slices.SortFunc(p.all, func(a, b Partition) int { return cmp.Compare(a.Journal, b.Journal) })
	for _, part := range p.all {
		p.hashes = append(p.hashes, fnv1a([]byte(part.Journal)))
	}
	return p
}

// Len is how many partitions there are.
func (p *Partitions) Len() int {
	if p == nil {
		return 0
	}
	return len(p.all)
}

// At returns a partition by its place in the order of names.
func (p *Partitions) At(i int) Partition { return p.all[i] }

// Mapping chooses the partition of a key. It returns ErrNoPartitions if there are none.
type Mapping func(p *Partitions, key []byte) (Partition, error)

// Random chooses any partition, whatever the key.
func Random(p *Partitions, _ []byte) (Partition, error) {
	if p.Len() == 0 {
		return Partition{}, ErrNoPartitions
	}
	return p.At(rand.IntN(p.Len())), nil
}

// Modulo chooses by the remainder of the key's hash: evenly and for little, but most
// keys move when the number of partitions changes.
func Modulo(p *Partitions, key []byte) (Partition, error) {
	if p.Len() == 0 {
		return Partition{}, ErrNoPartitions
	}
	return p.At(int(uint64(fnv1a(key)) % uint64(p.Len()))), nil
}

// Rendezvous chooses the partition whose name and the key together weigh most, the
// first of equals. If a partition comes or goes, only the keys move that it takes or
// had.
func Rendezvous(p *Partitions, key []byte) (Partition, error) {
	if p.Len() == 0 {
		return Partition{}, ErrNoPartitions
	}
	hash, best, weight := fnv1a(key), 0, uint32(0)
	for i, h := range p.hashes {
		if w := hash ^ h; w > weight {
			best, weight = i, w
		}
	}
	return p.At(best), nil
}

// fnv1a is the hash of Fowler, Noll and Vo, variant 1a, of 32 bits. The one of the
// standard library allocates.
func fnv1a(b []byte) uint32 {
	const offset, prime = 2166136261, 16777619
	h := uint32(offset)
	for _, c := range b {
		h = (h ^ uint32(c)) * prime
	}
	return h
}
