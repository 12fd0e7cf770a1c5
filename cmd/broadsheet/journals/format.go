package journals

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// choice is a flag with a few values.
type choice struct {
	value string
	of    []string
}

// String is the value.
func (c *choice) String() string { return c.value }

// Set one of the values.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("expected one of %s", strings.Join(c.of, ", "))
	}
	c.value = s
	return nil
}

// Type is for help.
func (c *choice) Type() string { return strings.Join(c.of, "|") }

// formatFlag adds --format to a listing, which may also be called --output.
func formatFlag(cmd *cobra.Command, formats ...string) *choice {
	c := &choice{value: formats[0], of: formats}
	cmd.Flags().VarP(c, "format", "o", "format of the output (--output is the same)")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "output" {
			name = "format"
		}
		return pflag.NormalizedName(name)
	})
	return c
}

// writeTable writes columns under their names.
func writeTable(w io.Writer, names []string, rows [][]string) error {
	widths := make([]int, len(names))
	all := append([][]string{names}, rows...)
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeJSON writes a message with the names of the protocol, and all its fields.
func writeJSON(w io.Writer, m proto.Message) error {
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	var out bytes.Buffer // in a layout that doesn't change from build to build
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

// fieldStart is where the layout of text differs from build to build.
var fieldStart = regexp.MustCompile(`(?m)^( *[a-zA-Z0-9_]+:?) +`)

// writeProto writes the text of a message.
func writeProto(w io.Writer, m proto.Message) error {
	text, err := prototext.MarshalOptions{Multiline: true}.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(fieldStart.ReplaceAll(text, []byte("$1 ")))
	return err
}
