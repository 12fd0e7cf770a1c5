package shards_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"broadsheet.dev/broadsheet/consumer/shards"
)

// TestDescriptors pins what is Gazette's: names and numbers of methods, enums, messages and fields.
//
//	methods | enums | messages
func TestDescriptors(t *testing.T) {
	file := shards.File_consumer_protocol_protocol_proto
	require.Equal(t, "consumer/protocol/protocol.proto", file.Path())
	datadriven.RunTest(t, "testdata/descriptors", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		var out strings.Builder
		switch d.Cmd {
		case "methods":
			printMethods(&out, file.Services())
		case "enums":
			printEnums(&out, file.Enums())
			eachMessage(file.Messages(), func(m protoreflect.MessageDescriptor) { printEnums(&out, m.Enums()) })
		case "messages":
			eachMessage(file.Messages(), func(m protoreflect.MessageDescriptor) { printMessage(&out, m) })
		default:
			d.Fatalf(t, "unknown command %q", d.Cmd)
		}
		return out.String()
	})
}

func printMethods(out *strings.Builder, services protoreflect.ServiceDescriptors) {
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			m := methods.Get(j)
			fmt.Fprintf(out, "/%s/%s %s%s -> %s%s\n", services.Get(i).FullName(), m.Name(),
				stream(m.IsStreamingClient()), m.Input().Name(), stream(m.IsStreamingServer()), m.Output().Name())
		}
	}
}

func stream(yes bool) string {
	if yes {
		return "stream "
	}
	return ""
}

func printEnums(out *strings.Builder, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		fmt.Fprintf(out, "%s:", relative(enums.Get(i)))
		values := enums.Get(i).Values()
		for j := range values.Len() {
			fmt.Fprintf(out, " %s=%d", values.Get(j).Name(), values.Get(j).Number())
		}
		out.WriteString("\n")
	}
}

// eachMessage visits messages, each followed by those within it.
func eachMessage(messages protoreflect.MessageDescriptors, visit func(protoreflect.MessageDescriptor)) {
	for i := range messages.Len() {
		visit(messages.Get(i))
		eachMessage(messages.Get(i).Messages(), visit)
	}
}

func printMessage(out *strings.Builder, m protoreflect.MessageDescriptor) {
	if m.IsMapEntry() {
		return
	}
	var fields []string
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		fields = append(fields, fmt.Sprintf("%d %s %s", f.Number(), f.Name(), fieldType(f)))
	}
	fmt.Fprintf(out, "%s: %s\n", relative(m), strings.Join(fields, ", "))
}

func fieldType(f protoreflect.FieldDescriptor) string {
	if f.IsMap() {
		return fmt.Sprintf("map<%s, %s>", fieldType(f.MapKey()), fieldType(f.MapValue()))
	}
	text := f.Kind().String()
	switch f.Kind() {
	case protoreflect.EnumKind:
		text = relative(f.Enum())
	case protoreflect.MessageKind:
		text = relative(f.Message())
	default:
	}
	if f.IsList() {
		text = "repeated " + text
	}
	return text
}

// relative is the name of a descriptor within its package.
func relative(d protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(d.FullName()), "consumer.")
}
