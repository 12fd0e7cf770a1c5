package fragments

import "broadsheet.dev/broadsheet/protocol"

// Fragment is a closed byte range of a journal and the object that holds it. The
// zero value is no fragment.
type Fragment struct {
	// Journal that the bytes belong to.
	Journal string
	// Begin and End offsets of the range [Begin, End), in bytes of the journal.
	Begin, End int64
	// Sum is the SHA-1 of the uncompressed content; zero if that isn't known.
	Sum [20]byte
	// Codec in which the object is, or is to be, stored.
	Codec protocol.CompressionCodec
	// Store is the URL of the store that holds the object; empty while local only.
	Store string
	// ModTime is when the store last changed the object, in Unix seconds; zero
	// while local only.
	ModTime int64
	// PathPostfix are the directories between the journal's and the object; may be empty.
	PathPostfix string
	// Name of the object, if another writer spelt it otherwise than this package
	// would; else empty. It isn't sent on the wire.
	Name string
}

// Length of the content in uncompressed bytes.
func (f Fragment) Length() int64 { return f.End - f.Begin }

// Stored tells whether a store holds the fragment.
func (f Fragment) Stored() bool { return f.ModTime != 0 && f.Store != "" }

// Proto is the fragment as it goes over the wire.
func (f Fragment) Proto() *protocol.Fragment {
	return &protocol.Fragment{
		Journal:          f.Journal,
		Begin:            f.Begin,
		End:              f.End,
		Sum:              protocol.SumFromDigest(f.Sum),
		CompressionCodec: f.Codec,
		BackingStore:     f.Store,
		ModTime:          f.ModTime,
		PathPostfix:      f.PathPostfix,
	}
}

// FragmentFromProto is the fragment of a message, which the caller has validated.
func FragmentFromProto(p *protocol.Fragment) Fragment {
	return Fragment{
		Journal:     p.GetJournal(),
		Begin:       p.GetBegin(),
		End:         p.GetEnd(),
		Sum:         p.GetSum().Digest(),
		Codec:       p.GetCompressionCodec(),
		Store:       p.GetBackingStore(),
		ModTime:     p.GetModTime(),
		PathPostfix: p.GetPathPostfix(),
	}
}

// Content is the uncompressed content of a local fragment.
type Content interface {
	// ReadAt is io.ReaderAt, but for off, which is an offset of the journal.
	ReadAt(p []byte, off int64) (int, error)
}

// Entry is a fragment and how to come by its content.
type Entry struct {
	Fragment
	// Local content; nil if only a store has it.
	Local Content
}
