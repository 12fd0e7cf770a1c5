// Package listing is how commands print what they list: tables for people, JSON and text of the protocol for programs.
//
// # What
//
// FormatFlag is the flag --format, -o or --output of a listing; Table, JSON and Proto write.
//
// # Invariants
//
//   - What is printed of the same values is the same, byte by byte, in each build.
//
// # Goroutines
//
// None.
//
// # Testing
//
// The scripts of the commands.
package listing

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

// Choice is a flag with a few values.
type Choice struct {
	// Value that was chosen.
	Value string
	// Of these.
	Of []string
}

// String is the value.
func (c *Choice) String() string { return c.Value }

// Set one of the values.
func (c *Choice) Set(s string) error {
	if !slices.Contains(c.Of, s) {
		return fmt.Errorf("expected one of %s", strings.Join(c.Of, ", "))
	}
	c.Value = s
	return nil
}

// Type is for help.
func (c *Choice) Type() string { return strings.Join(c.Of, "|") }

// FormatFlag adds --format to a listing, which may also be called --output.
func FormatFlag(cmd *cobra.Command, formats ...string) *Choice {
	c := &Choice{Value: formats[0], Of: formats}
	cmd.Flags().VarP(c, "format", "o", "format of the output (--output is the same)")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "output" {
			name = "format"
		}
		return pflag.NormalizedName(name)
	})
	return c
}

// Table writes columns under their names.
func Table(w io.Writer, names []string, rows [][]string) error {
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

// JSON writes a message with the names of the protocol, and all its fields.
func JSON(w io.Writer, m proto.Message) error {
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

// Proto writes the text of a message.
func Proto(w io.Writer, m proto.Message) error {
	text, err := prototext.MarshalOptions{Multiline: true}.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(fieldStart.ReplaceAll(text, []byte("$1 ")))
	return err
}
