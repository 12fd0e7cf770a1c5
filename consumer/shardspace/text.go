package shardspace

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol/specyaml"
)

// Parse reads the set of a YAML document. Its shape is valid; whether specs are whole is for Changes to tell.
func Parse(text []byte) (*Set, error) {
	document, r, err := specyaml.Read(text)
	if err != nil {
		return nil, err
	}
	entries, err := r.Mapping(document, "the text", 0)
	if err != nil {
		return nil, err
	}
	out := &Set{Common: new(shards.ShardSpec)}
	for _, e := range entries {
		switch e.Key {
		case "common":
			err = readCommon(r, out.Common, e)
		case "shards":
			out.Shards, err = readShards(r, e)
		default:
			err = &Error{Line: e.Line, Reason: "the text has " + strconv.Quote(e.Key) + " (expected common and shards)"}
		}
		if err != nil {
			return nil, err
		}
	}
	return out, out.Validate()
}

func readCommon(r *specyaml.Reader, spec *shards.ShardSpec, e specyaml.Entry) error {
	entries, err := r.Mapping(e.Value, "common", 1)
	if err != nil {
		return err
	}
	for _, f := range entries {
		if err := r.SetField(spec.ProtoReflect(), f, "common"); err != nil {
			return err
		}
	}
	return nil
}

func readShards(r *specyaml.Reader, e specyaml.Entry) ([]Shard, error) {
	items, err := r.Sequence(e.Value, "shards")
	if err != nil {
		return nil, err
	}
	out := make([]Shard, 0, len(items))
	for _, item := range items {
		entries, err := r.Mapping(item, "a shard", 1)
		if err != nil {
			return nil, err
		}
		s := Shard{Spec: new(shards.ShardSpec), Line: item.Line}
		for _, f := range entries {
			if err := s.set(r, f); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// set what an entry says.
func (s *Shard) set(r *specyaml.Reader, e specyaml.Entry) error {
	var err error
	switch e.Key {
	case "comment":
		s.Comment, err = specyaml.Text(e)
	case "delete":
		s.Delete, err = specyaml.Boolean(e)
	case "revision":
		s.Revision, err = specyaml.Integer(e, 64)
	default:
		err = r.SetField(s.Spec.ProtoReflect(), e, "a shard")
	}
	return err
}

// Format returns the YAML of a set.
func (x *Set) Format() ([]byte, error) {
	document := specyaml.NewMapping()
	common := specyaml.NewMapping()
	if x.Common != nil {
		common.AddFields(x.Common.ProtoReflect())
	}
	if len(common.Content) != 0 {
		document.Add("common", &common.Node)
	}
	list := specyaml.Sequence()
	for _, s := range x.Shards {
		list.Content = append(list.Content, s.yaml())
	}
	document.Add("shards", list)
	text, err := specyaml.Write(&document.Node)
	if err != nil {
		return nil, fmt.Errorf("format shards: %w", err)
	}
	return text, nil
}

func (s *Shard) yaml() *yaml.Node {
	m := specyaml.NewMapping()
	if s.Comment != "" {
		m.Add("comment", specyaml.String(s.Comment))
	}
	if s.Delete {
		m.Add("delete", specyaml.Bool(true))
	}
	m.AddFields(s.Spec.ProtoReflect())
	if s.Revision != 0 {
		m.Add("revision", specyaml.Int(s.Revision))
	}
	return &m.Node
}
