package recoverylog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
)

// Validate hints: each segment, the order of files and of their segments, and that all are parts of one history.
// Hints without files are valid: the log is read from its begin.
func (x *FSMHints) Validate() error {
	if err := protocol.ValidateJournalName(x.GetLog()); err != nil {
		return &protocol.ValidationError{Path: "Log", Reason: err.Error()}
	}
	for i, node := range x.GetLiveNodes() {
		at := fmt.Sprintf("LiveNodes[%d]", i)
		if i != 0 && node.GetFnode() <= x.GetLiveNodes()[i-1].GetFnode() {
			return &protocol.ValidationError{Path: at + ".Fnode", Reason: fmt.Sprintf("invalid order (%d; expected > %d)", node.GetFnode(), x.GetLiveNodes()[i-1].GetFnode())}
		}
		if err := node.validate(at); err != nil {
			return err
		}
	}
	paths := make(map[string]bool)
	for i, p := range x.GetProperties() {
		at := fmt.Sprintf("Properties[%d].Path", i)
		if err := validatePath(p.GetPath()); err != nil {
			return &protocol.ValidationError{Path: at, Reason: err.Error()}
		}
		if paths[p.GetPath()] {
			return &protocol.ValidationError{Path: at, Reason: p.GetPath() + " is twice"}
		}
		paths[p.GetPath()] = true
	}
	if _, err := x.segments(); err != nil {
		return &protocol.ValidationError{Path: "LiveNodes", Reason: err.Error()}
	}
	return nil
}

// validate the segments of a file: its first operation is the one that created it.
func (x *FnodeSegments) validate(at string) error {
	if x.GetFnode() <= 0 {
		return &protocol.ValidationError{Path: at + ".Fnode", Reason: fmt.Sprintf("invalid number (%d; expected > 0)", x.GetFnode())}
	}
	if len(x.GetSegments()) == 0 {
		return &protocol.ValidationError{Path: at + ".Segments", Reason: "has none"}
	}
	for i, s := range x.GetSegments() {
		at := fmt.Sprintf("%s.Segments[%d]", at, i)
		if err := s.Validate(); err != nil {
			if v, ok := errors.AsType[*protocol.ValidationError](err); ok {
				return &protocol.ValidationError{Path: at + "." + v.Path, Reason: v.Reason}
			}
			return &protocol.ValidationError{Path: at, Reason: err.Error()}
		}
		if i != 0 && s.GetFirstSeqNo() <= x.GetSegments()[i-1].GetLastSeqNo() {
			return &protocol.ValidationError{Path: at + ".FirstSeqNo", Reason: fmt.Sprintf("invalid order (%d; expected > %d)", s.GetFirstSeqNo(), x.GetSegments()[i-1].GetLastSeqNo())}
		}
	}
	if first := x.GetSegments()[0].GetFirstSeqNo(); first != x.GetFnode() {
		return &protocol.ValidationError{Path: at + ".Segments[0].FirstSeqNo", Reason: fmt.Sprintf("invalid number (%d; expected that of the file, %d)", first, x.GetFnode())}
	}
	return nil
}

// segments that have operations of the live files, in their order.
func (x *FSMHints) segments() (segmentSet, error) {
	var set segmentSet
	for _, node := range x.GetLiveNodes() {
		for _, s := range node.GetSegments() {
			if err := set.add(segmentOf(s, x.GetLog())); err != nil {
				return nil, fmt.Errorf("file %d: %w", node.GetFnode(), err)
			}
		}
	}
	return set, nil
}

// The form of hints in etcd: fields, their order and what is left out are those of Gazette's.
type (
	jsonHints struct {
		Log        string         `json:"log,omitempty"`
		LiveNodes  []jsonFnode    `json:"live_nodes"`
		Properties []jsonProperty `json:"properties"`
	}
	jsonFnode struct {
		Fnode    int64         `json:"fnode,omitempty"`
		Segments []jsonSegment `json:"segments"`
	}
	jsonSegment struct {
		Author        uint32 `json:"author,omitempty"`
		FirstSeqNo    int64  `json:"first_seq_no,omitempty"`
		FirstOffset   int64  `json:"first_offset,omitempty"`
		FirstChecksum uint32 `json:"first_checksum,omitempty"`
		LastSeqNo     int64  `json:"last_seq_no,omitempty"`
		LastOffset    int64  `json:"last_offset,omitempty"`
		Log           string `json:"log,omitempty"`
	}
	jsonProperty struct {
		Path    string `json:"path,omitempty"`
		Content string `json:"content,omitempty"`
	}
)

// EncodeHints for etcd, as JSON.
func EncodeHints(x *FSMHints) ([]byte, error) {
	if err := x.Validate(); err != nil {
		return nil, fmt.Errorf("encode hints: %w", err)
	}
	out := jsonHints{Log: x.GetLog()}
	for _, node := range x.GetLiveNodes() {
		n := jsonFnode{Fnode: node.GetFnode()}
		for _, s := range node.GetSegments() {
			n.Segments = append(n.Segments, jsonSegment{
				Author: s.GetAuthor(), FirstSeqNo: s.GetFirstSeqNo(), FirstOffset: s.GetFirstOffset(), FirstChecksum: s.GetFirstChecksum(),
				LastSeqNo: s.GetLastSeqNo(), LastOffset: s.GetLastOffset(), Log: s.GetLog(),
			})
		}
		out.LiveNodes = append(out.LiveNodes, n)
	}
	for _, p := range x.GetProperties() {
		out.Properties = append(out.Properties, jsonProperty{Path: p.GetPath(), Content: p.GetContent()})
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode hints: %w", err)
	}
	return b, nil
}

// DecodeHints of etcd: JSON if they begin with a brace, and protobuf if not. What it returns is valid.
func DecodeHints(b []byte) (*FSMHints, error) {
	x, err := decodeHints(b)
	if err == nil {
		err = x.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("decode hints: %w", err)
	}
	return x, nil
}

func decodeHints(b []byte) (*FSMHints, error) {
	x := new(FSMHints)
	if len(b) == 0 || b[0] != '{' {
		// What a newer writer added has no place in the JSON that is written back.
		return x, proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, x)
	}
	var in jsonHints
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&in); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	x.Log = in.Log
	for _, n := range in.LiveNodes {
		node := &FnodeSegments{Fnode: n.Fnode}
		for _, s := range n.Segments {
			node.Segments = append(node.Segments, &Segment{
				Author: s.Author, FirstSeqNo: s.FirstSeqNo, FirstOffset: s.FirstOffset, FirstChecksum: s.FirstChecksum,
				LastSeqNo: s.LastSeqNo, LastOffset: s.LastOffset, Log: s.Log,
			})
		}
		x.LiveNodes = append(x.LiveNodes, node)
	}
	for _, p := range in.Properties {
		x.Properties = append(x.Properties, &Property{Path: p.Path, Content: p.Content})
	}
	return x, nil
}
