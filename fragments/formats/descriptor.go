package formats

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxDescriptor bounds a descriptor set, in bytes. What is left of it has to fit the catalog's entry, too.
const maxDescriptor = 1 << 20

// wellKnown are the files that a descriptor set may leave out.
func wellKnown() map[string]protoreflect.FileDescriptor {
	files := map[string]protoreflect.FileDescriptor{}
	for _, f := range []protoreflect.FileDescriptor{
		anypb.File_google_protobuf_any_proto, durationpb.File_google_protobuf_duration_proto, emptypb.File_google_protobuf_empty_proto,
		fieldmaskpb.File_google_protobuf_field_mask_proto, structpb.File_google_protobuf_struct_proto,
		timestamppb.File_google_protobuf_timestamp_proto, wrapperspb.File_google_protobuf_wrappers_proto,
	} {
		files[f.Path()] = f
	}
	return files
}

// parseProtobuf reads the options, and strips the descriptor set to what the message needs.
func parseProtobuf(values map[string]string) (Spec, error) {
	s := Spec{Name: Protobuf, Message: strings.TrimPrefix(strings.TrimSpace(values["message"]), ".")}
	if s.Message == "" {
		return Spec{}, &OptionError{Option: "message", Reason: "the full name of the rows' message is needed", Hint: "message = 'package.Message'"}
	}
	if values["descriptor"] == "" {
		return Spec{}, &OptionError{
			Option: "descriptor", Reason: "the FileDescriptorSet that describes the message is needed, in hexadecimal after \\x or in base64",
			Hint: "protoc --include_imports --descriptor_set_out writes it.",
		}
	}
	content, err := decodeDescriptor(values["descriptor"])
	if err == nil {
		s.Descriptor, err = stripDescriptor(content, s.Message)
	}
	if err != nil {
		if option, ok := errors.AsType[*OptionError](err); ok {
			return Spec{}, option
		}
		return Spec{}, &OptionError{Option: "descriptor", Reason: err.Error()}
	}
	return s, nil
}

func decodeDescriptor(value string) ([]byte, error) {
	if len(value) > 2*maxDescriptor+2 {
		return nil, errDescriptorSize(len(value) / 2)
	}
	digits, isHex := strings.CutPrefix(strings.TrimSpace(value), `\x`)
	var content []byte
	var err error
	if isHex {
		content, err = hex.DecodeString(digits)
	} else {
		content, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Join(strings.Fields(value), ""), "="))
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is neither hexadecimal after \\x nor base64: %w", err)
	case len(content) > maxDescriptor:
		return nil, errDescriptorSize(len(content))
	}
	return content, nil
}

func errDescriptorSize(n int) error {
	return fmt.Errorf("it has %d bytes or more, at most %d work", n, maxDescriptor)
}

// filesOf are the files of a set, well-known ones added.
func filesOf(content []byte) (*protoregistry.Files, error) {
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(content, set); err != nil {
		return nil, fmt.Errorf("it isn't a FileDescriptorSet: %w", err)
	}
	known, have := wellKnown(), map[string]bool{}
	for _, f := range set.GetFile() {
		have[f.GetName()] = true
	}
	for _, f := range set.GetFile() { // well-known files that this adds need no others
		for _, path := range f.GetDependency() {
			if w := known[path]; w != nil && !have[path] {
				have[path] = true
				set.File = append(set.File, protodesc.ToFileDescriptorProto(w))
			}
		}
	}
	return protodesc.NewFiles(set)
}

func findMessage(files *protoregistry.Files, name string) (protoreflect.MessageDescriptor, error) {
	d, err := files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil, &OptionError{Option: "message", Reason: fmt.Sprintf("the descriptor has no message %q", name)}
	}
	m, ok := d.(protoreflect.MessageDescriptor)
	if !ok || m.IsMapEntry() {
		return nil, &OptionError{Option: "message", Reason: fmt.Sprintf("%q isn't a message", name)}
	}
	return m, nil
}

// stripDescriptor returns the set that has the message's file and what that imports, without comments.
func stripDescriptor(content []byte, message string) ([]byte, error) {
	files, err := filesOf(content)
	if err != nil {
		return nil, err
	}
	m, err := findMessage(files, message)
	if err != nil {
		return nil, err
	}
	set, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		p := protodesc.ToFileDescriptorProto(f)
		p.SourceCodeInfo = nil
		set.File = append(set.File, p)
	}
	add(m.ParentFile())
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}

// messageOf is the message that a spec names.
func messageOf(s Spec) (protoreflect.MessageDescriptor, error) {
	files, err := filesOf(s.Descriptor)
	if err != nil {
		return nil, &OptionError{Option: "descriptor", Reason: err.Error()}
	}
	return findMessage(files, s.Message)
}
