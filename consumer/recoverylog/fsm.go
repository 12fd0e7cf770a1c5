package recoverylog

import (
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Why an operation is rejected. It is then as if it weren't in the log; but for ErrNotTracked, with which it takes its
// place in the sequence, though it changes no file.
var (
	// ErrNotHintedAuthor is of an operation of another author than hints say that the operations here are of.
	ErrNotHintedAuthor = errors.New("author isn't the one of the hints")
	// ErrWrongSeqNo is of an operation that isn't the next one.
	ErrWrongSeqNo = errors.New("sequence number isn't the next")
	// ErrWrongChecksum is of an operation that doesn't follow on those before it.
	ErrWrongChecksum = errors.New("checksum isn't that of the operations before")
	// ErrNotHintedCreate is of an operation that hints say creates a file, and which doesn't.
	ErrNotHintedCreate = errors.New("operation doesn't create the file of the hints")
	// ErrNotTracked is of an operation on a file that doesn't live: it may have been unlinked before the hints were made.
	ErrNotTracked = errors.New("file isn't tracked")
	// ErrLinkExists is of a path that has a file.
	ErrLinkExists = errors.New("path is linked")
	// ErrNoSuchLink is of a path that doesn't have the file.
	ErrNoSuchLink = errors.New("path isn't linked to the file")
	// ErrPropertyExists is of a path that has a property.
	ErrPropertyExists = errors.New("path is that of a property")
	// ErrMalformed is of an operation that no recorder writes.
	ErrMalformed = errors.New("malformed operation")
)

// OpError is an operation that was rejected. It wraps the reason, which is one of those above.
type OpError struct {
	// SeqNo and Author of the operation.
	SeqNo  int64
	Author uint32
	// Detail of the reason.
	Detail string
	// Reason of the rejection.
	Reason error
}

// Error names the operation, the reason and its detail.
func (e *OpError) Error() string {
	s := fmt.Sprintf("operation %d of author %08x: %s", e.SeqNo, e.Author, e.Reason)
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

// Unwrap returns the reason.
func (e *OpError) Unwrap() error { return e.Reason }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stagingDir is where files are while a log is played, below the directory of the store.
const stagingDir = ".fnodes"

// validatePath of a file within a store: from its root, and in its shortest form.
func validatePath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("path %q doesn't begin with a slash", p)
	case p == "/" || path.Clean(p) != p || strings.ContainsRune(p, 0) || !utf8.ValidString(p):
		return fmt.Errorf("path %q isn't one of a file in its shortest form", p)
	case p == "/"+stagingDir || strings.HasPrefix(p, "/"+stagingDir+"/"):
		return fmt.Errorf("path %q is where files are staged", p)
	}
	return nil
}

// FSM is what the operations of a log, applied in their order, say: which files live, by which paths, and in which
// segments of the log their content is.
//
// As long as there are segments of hints that weren't passed, only files of the hints are tracked: those others that
// operations in between create were unlinked when the hints were made, maybe by operations that aren't read.
type FSM struct {
	log        string
	next       int64  // sequence number of the next operation
	sum        uint32 // running checksum of all before it
	links      map[string]int64
	nodes      map[int64]*fnode
	properties map[string]string

	// Of the hints, what is still to come.
	segments segmentSet
	hinted   []int64 // files that are yet to be created
}

// fnode is a file that lives: it has a link.
type fnode struct {
	links    map[string]struct{}
	segments segmentSet
}

// NewFSM of hints, which must be valid.
func NewFSM(hints *FSMHints) (*FSM, error) {
	if err := hints.Validate(); err != nil {
		return nil, fmt.Errorf("hints: %w", err)
	}
	segments, err := hints.segments()
	if err != nil {
		return nil, fmt.Errorf("hints: %w", err)
	}
	f := &FSM{
		log: hints.GetLog(), next: 1, segments: segments,
		links: make(map[string]int64), nodes: make(map[int64]*fnode), properties: make(map[string]string),
	}
	for _, p := range hints.GetProperties() {
		f.properties[p.GetPath()] = p.GetContent()
	}
	for _, node := range hints.GetLiveNodes() {
		f.hinted = append(f.hinted, node.GetFnode())
	}
	if len(segments) != 0 {
		f.next, f.sum = segments[0].firstSeqNo, segments[0].firstSum
	}
	return f, nil
}

// Next returns the sequence number and the checksum that the next operation has.
func (f *FSM) Next() (int64, uint32) { return f.next, f.sum }

// Unused reports whether hints say of operations that weren't applied yet.
func (f *FSM) Unused() bool { return len(f.segments) != 0 }

// Fnode of the file at a path.
func (f *FSM) Fnode(at string) (int64, bool) {
	node, ok := f.links[at]
	return node, ok
}

// Lives reports whether a file has a link.
func (f *FSM) Lives(fnode int64) bool { return f.nodes[fnode] != nil }

// Links returns all paths, each with its file.
func (f *FSM) Links() map[string]int64 { return maps.Clone(f.links) }

// Properties returns all properties.
func (f *FSM) Properties() map[string]string { return maps.Clone(f.properties) }

// Apply an operation, of which payload are the bytes that it is serialized as in the log. An error is an *OpError. The
// operation isn't kept.
func (f *FSM) Apply(op *RecordedOp, payload []byte) error {
	err := f.apply(op)
	if err == nil || errors.Is(err, ErrNotTracked) {
		f.advance(payload)
	}
	return err
}

func reject(op *RecordedOp, reason error, format string, args ...any) error {
	return &OpError{SeqNo: op.GetSeqNo(), Author: op.GetAuthor(), Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// apply checks that the operation is the next one, and applies it, or changes nothing.
func (f *FSM) apply(op *RecordedOp) error {
	if err := checkForm(op); err != nil {
		return err
	}
	switch {
	case len(f.segments) != 0 && op.GetAuthor() != f.segments[0].author:
		return reject(op, ErrNotHintedAuthor, "expected %08x", f.segments[0].author)
	case op.GetSeqNo() != f.next:
		return reject(op, ErrWrongSeqNo, "expected %d", f.next)
	case op.GetChecksum() != f.sum:
		return reject(op, ErrWrongChecksum, "%08x; expected %08x", op.GetChecksum(), f.sum)
	case len(f.hinted) != 0 && f.hinted[0] == op.GetSeqNo() && op.GetCreate() == nil:
		return reject(op, ErrNotHintedCreate, "")
	}
	switch {
	case op.GetCreate() != nil:
		return f.create(op, op.GetCreate().GetPath())
	case op.GetLink() != nil:
		return f.link(op, op.GetLink())
	case op.GetUnlink() != nil:
		return f.unlink(op, op.GetUnlink())
	case op.GetWrite() != nil:
		return f.touch(op, op.GetWrite().GetFnode())
	case op.GetProperty() != nil:
		return f.property(op, op.GetProperty())
	}
	return nil // it takes its place: a hand-off
}

// checkForm of an operation: at most one thing is done, to a path or range that there can be.
func checkForm(op *RecordedOp) error {
	kinds := 0
	at := ""
	if op.GetCreate() != nil {
		kinds, at = kinds+1, op.GetCreate().GetPath()
	}
	if op.GetLink() != nil {
		kinds, at = kinds+1, op.GetLink().GetPath()
	}
	if op.GetUnlink() != nil {
		kinds, at = kinds+1, op.GetUnlink().GetPath()
	}
	if op.GetProperty() != nil {
		kinds, at = kinds+1, op.GetProperty().GetPath()
	}
	if w := op.GetWrite(); w != nil {
		if w.GetOffset() < 0 || w.GetLength() < 0 || w.GetOffset()+w.GetLength() < 0 {
			return reject(op, ErrMalformed, "write of %d bytes at %d", w.GetLength(), w.GetOffset())
		}
		kinds++
	} else if kinds != 0 {
		if err := validatePath(at); err != nil {
			return reject(op, ErrMalformed, "%s", err)
		}
	}
	if kinds > 1 {
		return reject(op, ErrMalformed, "it is %d operations", kinds)
	}
	return nil
}

func (f *FSM) create(op *RecordedOp, at string) error {
	hinted := len(f.hinted) != 0 && f.hinted[0] == op.GetSeqNo()
	if !hinted && len(f.segments) != 0 {
		return reject(op, ErrNotTracked, "%s is none of the hints", at)
	}
	if err := f.checkFree(op, at); err != nil {
		return err
	}
	node := &fnode{links: map[string]struct{}{at: {}}}
	if err := f.extend(node, op); err != nil {
		return err
	}
	if hinted {
		f.hinted = f.hinted[1:]
	}
	f.nodes[op.GetSeqNo()], f.links[at] = node, op.GetSeqNo()
	return nil
}

// checkFree that a path has neither file nor property.
func (f *FSM) checkFree(op *RecordedOp, at string) error {
	if node, ok := f.links[at]; ok {
		return reject(op, ErrLinkExists, "%s is file %d", at, node)
	}
	if _, ok := f.properties[at]; ok {
		return reject(op, ErrPropertyExists, "%s", at)
	}
	return nil
}

// touch says that the operation is one of the file's.
func (f *FSM) touch(op *RecordedOp, number int64) error {
	node := f.nodes[number]
	if node == nil {
		return reject(op, ErrNotTracked, "file %d", number)
	}
	return f.extend(node, op)
}

func (f *FSM) link(op *RecordedOp, l *RecordedOp_Link) error {
	node := f.nodes[l.GetFnode()]
	if node == nil {
		return reject(op, ErrNotTracked, "file %d", l.GetFnode())
	}
	if err := f.checkFree(op, l.GetPath()); err != nil {
		return err
	}
	if err := f.extend(node, op); err != nil {
		return err
	}
	node.links[l.GetPath()] = struct{}{}
	f.links[l.GetPath()] = l.GetFnode()
	return nil
}

func (f *FSM) unlink(op *RecordedOp, l *RecordedOp_Link) error {
	node := f.nodes[l.GetFnode()]
	if node == nil {
		return reject(op, ErrNotTracked, "file %d", l.GetFnode())
	}
	if _, ok := node.links[l.GetPath()]; !ok {
		return reject(op, ErrNoSuchLink, "%s, file %d", l.GetPath(), l.GetFnode())
	}
	if err := f.extend(node, op); err != nil {
		return err
	}
	delete(node.links, l.GetPath())
	delete(f.links, l.GetPath())
	if len(node.links) == 0 {
		delete(f.nodes, l.GetFnode())
	}
	return nil
}

// property sets a property. What hints have of it is from later on than any operation before their end.
func (f *FSM) property(op *RecordedOp, p *Property) error {
	if node, ok := f.links[p.GetPath()]; ok {
		return reject(op, ErrLinkExists, "%s is file %d", p.GetPath(), node)
	}
	if _, ok := f.properties[p.GetPath()]; ok && len(f.segments) != 0 {
		return nil
	}
	f.properties[p.GetPath()] = p.GetContent()
	return nil
}

// extend the file's segments by an operation.
func (f *FSM) extend(node *fnode, op *RecordedOp) error {
	s := segment{
		author: op.GetAuthor(), firstSum: op.GetChecksum(), log: op.GetLog(),
		firstSeqNo: op.GetSeqNo(), lastSeqNo: op.GetSeqNo(), firstOffset: op.GetFirstOffset(), lastOffset: op.GetLastOffset(),
	}
	if s.log == "" {
		s.log = f.log
	}
	if err := node.segments.extend(s); err != nil {
		return reject(op, ErrMalformed, "%s", err)
	}
	return nil
}

// advance to the next operation: the one that follows, or the first one of the next segment of the hints.
func (f *FSM) advance(payload []byte) {
	f.next++
	f.sum = crc32.Update(f.sum, castagnoli, payload)
	if len(f.segments) == 0 || f.next <= f.segments[0].lastSeqNo {
		return
	}
	f.segments = f.segments[1:]
	if len(f.segments) != 0 {
		f.next, f.sum = f.segments[0].firstSeqNo, f.segments[0].firstSum
	}
}

// BuildHints of where in which logs the live files are. They are those of the log that the FSM is of.
func (f *FSM) BuildHints() *FSMHints {
	out := &FSMHints{Log: f.log}
	for _, number := range slices.Sorted(maps.Keys(f.nodes)) {
		node := &FnodeSegments{Fnode: number}
		for _, s := range f.nodes[number].segments {
			node.Segments = append(node.Segments, s.proto(f.log))
		}
		out.LiveNodes = append(out.LiveNodes, node)
	}
	for _, p := range slices.Sorted(maps.Keys(f.properties)) {
		out.Properties = append(out.Properties, &Property{Path: p, Content: f.properties[p]})
	}
	return out
}

// settle says that all operations before one end at or before an offset of the log.
func (f *FSM) settle(next, end int64) {
	for _, node := range f.nodes {
		for i := range node.segments {
			if s := &node.segments[i]; s.lastOffset == 0 && s.log == f.log && s.lastSeqNo < next {
				s.lastOffset = end
			}
		}
	}
}

// Recovered is what a Player found in a log.
type Recovered struct {
	// FSM behind the last operation that was played.
	FSM *FSM
	// Author that the log was taken over by; 0 if it was only played to its write head.
	Author uint32
	// Offset of the log up to which it was played.
	Offset int64
}
