package protocol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"broadsheet.dev/broadsheet/protocol"
)

// TestDescriptors pins what is Gazette's: names and numbers of methods, enums, messages and
// fields. What is ours beside it is in a file of its own.
//
//	methods | enums | messages    [ours]
func TestDescriptors(t *testing.T) {
	file := protocol.File_broker_protocol_protocol_proto
	require.Equal(t, "broker/protocol/protocol.proto", file.Path())
	datadriven.Walk(t, "testdata/descriptors", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			var out strings.Builder
			switch d.Cmd {
			case "methods":
				printMethods(&out, file.Services())
			case "enums":
				printEnums(&out, file.Enums())
				eachMessage(file.Messages(), func(m protoreflect.MessageDescriptor) { printEnums(&out, m.Enums()) })
			case "messages":
				eachMessage(file.Messages(), func(m protoreflect.MessageDescriptor) { printMessage(&out, m, d.HasArg("ours")) })
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			return out.String()
		})
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

// firstOurs is the least number of our fields of Gazette's messages.
const firstOurs = 100

// ourMessages are those that Gazette has not.
var ourMessages = []string{
	"ReplicateRequest.Poll", "ReplicateRequest.Align", "ReplicateResponse.State", "Epoch", "Epoch.Member", "EpochList",
}

// printMessage prints the fields that are Gazette's, or those that are ours, if there are any.
func printMessage(out *strings.Builder, m protoreflect.MessageDescriptor, ours bool) {
	var fields []string
	all := slices.Contains(ourMessages, relative(m))
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if (all || f.Number() >= firstOurs) == ours {
			fields = append(fields, fmt.Sprintf("%d %s %s", f.Number(), f.Name(), fieldType(f)))
		}
	}
	if len(fields) > 0 {
		fmt.Fprintf(out, "%s: %s\n", relative(m), strings.Join(fields, ", "))
	}
}

func fieldType(f protoreflect.FieldDescriptor) string {
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
	return strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+".")
}
