package wire

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that this one is made of
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// minContent is the length from which on a message is decoded here. A shorter one comes as
// one buffer, and gRPC copies only its content.
const minContent = 4 << 10

// Codec is gRPC's protobuf codec, which copies content less.
type Codec struct{ encoding.CodecV2 }

// NewCodec returns a Codec. It is to be forced on servers and connections, under the name that
// all of gRPC knows.
func NewCodec() Codec { return Codec{encoding.GetCodecV2("proto")} }

// Outgoing is a message with content that is sent without a copy. It may be sent more
// than once.
type Outgoing struct {
	// Message without its content.
	Message proto.Message
	// Content, of which each sending takes a reference; or nil.
	Content mem.Buffer
}

// Incoming receives one message after the other. What was received is valid until the next.
type Incoming struct {
	// Message to receive into.
	Message proto.Message

	buf []byte
}

// Marshal as of encoding.CodecV2.
func (c Codec) Marshal(v any) (mem.BufferSlice, error) {
	o, ok := v.(*Outgoing)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	if o.Content == nil || o.Content.Len() == 0 {
		return c.CodecV2.Marshal(o.Message)
	}
	field := contentOf(o.Message)
	if field == nil {
		return nil, fmt.Errorf("wire: %T has no content", o.Message)
	}
	const tagAndLength = 16
	head, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 0, proto.Size(o.Message)+tagAndLength), o.Message)
	if err != nil {
		return nil, err
	}
	head = protowire.AppendTag(head, field.Number(), protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(o.Content.Len()))
	o.Content.Ref()
	return mem.BufferSlice{mem.SliceBuffer(head), o.Content}, nil
}

// Unmarshal as of encoding.CodecV2.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	if in, ok := v.(*Incoming); ok {
		n := data.Len()
		in.buf = slices.Grow(in.buf[:0], n)[:n]
		data.CopyTo(in.buf)
		return decode(in.buf, in.Message)
	}
	m, ok := v.(proto.Message)
	if !ok || data.Len() < minContent || contentOf(m) == nil {
		return c.CodecV2.Unmarshal(data, v)
	}
	buf := make([]byte, data.Len())
	data.CopyTo(buf)
	return decode(buf, m)
}

// contentOf a message is its field of bytes with that name, or nil.
func contentOf(m proto.Message) protoreflect.FieldDescriptor {
	f := m.ProtoReflect().Descriptor().Fields().ByName("content")
	if f == nil || f.Kind() != protoreflect.BytesKind || f.IsList() {
		return nil
	}
	return f
}

// errNotPlain tells that a message is for protobuf's own decoder to judge.
var errNotPlain = errors.New("no plain fields")

// decode a message whose content is to be a part of b.
func decode(b []byte, m proto.Message) error {
	field := contentOf(m)
	if field == nil {
		return proto.Unmarshal(b, m)
	}
	content, rest, err := split(b, field.Number())
	if err != nil {
		return proto.Unmarshal(b, m)
	}
	if err := proto.Unmarshal(rest, m); err != nil {
		return err
	}
	if len(content) > 0 {
		m.ProtoReflect().Set(field, protoreflect.ValueOfBytes(content))
	}
	return nil
}

// split a message into its content and all other fields. If it has more than one content the
// last counts, as protobuf has it.
func split(b []byte, number protowire.Number) ([]byte, []byte, error) {
	var content, rest []byte
	for len(b) > 0 {
		n, kind, head := protowire.ConsumeTag(b)
		if head < 0 {
			return nil, nil, errNotPlain
		}
		length := protowire.ConsumeFieldValue(n, kind, b[head:])
		switch {
		case length < 0:
			return nil, nil, errNotPlain
		case n == number && kind == protowire.BytesType:
			content, _ = protowire.ConsumeBytes(b[head:])
			content = slices.Clip(content)
		default:
			rest = append(rest, b[:head+length]...)
		}
		b = b[head+length:]
	}
	return content, rest, nil
}
