package formats

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// wkt is a message of google.protobuf that has a meaning of its own.
type wkt uint8

const (
	wktNone wkt = iota
	wktTimestamp
	wktDuration
	wktWrapper
	wktStruct
	wktValue
	wktListValue
)

// wellKnownOf tells what a message is. One that has the name alone, and not the fields, is an ordinary one.
func wellKnownOf(m protoreflect.MessageDescriptor) wkt {
	if m == nil || m.FullName().Parent() != "google.protobuf" {
		return wktNone
	}
	known, kind := proto.Message(nil), wktWrapper
	switch m.Name() {
	case "Timestamp":
		known, kind = (*timestamppb.Timestamp)(nil), wktTimestamp
	case "Duration":
		known, kind = (*durationpb.Duration)(nil), wktDuration
	case "Struct":
		known, kind = (*structpb.Struct)(nil), wktStruct
	case "Value":
		known, kind = (*structpb.Value)(nil), wktValue
	case "ListValue":
		known, kind = (*structpb.ListValue)(nil), wktListValue
	default:
		known = wrapper(m.Name())
	}
	if known == nil || !sameFields(m, known.ProtoReflect().Descriptor()) {
		return wktNone
	}
	return kind
}

func wrapper(name protoreflect.Name) proto.Message {
	switch name {
	case "DoubleValue":
		return (*wrapperspb.DoubleValue)(nil)
	case "FloatValue":
		return (*wrapperspb.FloatValue)(nil)
	case "Int64Value":
		return (*wrapperspb.Int64Value)(nil)
	case "UInt64Value":
		return (*wrapperspb.UInt64Value)(nil)
	case "Int32Value":
		return (*wrapperspb.Int32Value)(nil)
	case "UInt32Value":
		return (*wrapperspb.UInt32Value)(nil)
	case "BoolValue":
		return (*wrapperspb.BoolValue)(nil)
	case "StringValue":
		return (*wrapperspb.StringValue)(nil)
	case "BytesValue":
		return (*wrapperspb.BytesValue)(nil)
	}
	return nil
}

// sameFields tells whether two messages have fields of the same numbers and kinds.
func sameFields(a, b protoreflect.MessageDescriptor) bool {
	if a.Fields().Len() != b.Fields().Len() {
		return false
	}
	for i := range b.Fields().Len() {
		want := b.Fields().Get(i)
		f := a.Fields().ByNumber(want.Number())
		if f == nil || f.Index() != want.Index() || f.Kind() != want.Kind() || f.IsList() != want.IsList() || f.IsMap() != want.IsMap() ||
			(f.ContainingOneof() == nil) != (want.ContainingOneof() == nil) {
			return false
		}
	}
	return true
}
