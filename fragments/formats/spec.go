package formats

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// The names of formats.
const (
	JSON     = "json"
	CSV      = "csv"
	Raw      = "raw"
	Protobuf = "protobuf"
)

// Spec says what the format of a table's rows is, as the catalog keeps it. The zero value is lines of JSON.
type Spec struct {
	// Name of the format; "" is lines of JSON.
	Name string `json:"format,omitempty"`

	// Those of CSV: one byte each, but Null.
	Delimiter string `json:"delimiter,omitempty"`
	Quote     string `json:"quote,omitempty"`
	Escape    string `json:"escape,omitempty"`
	Null      string `json:"null,omitempty"` // what NULL is without quotes
	// Header tells that lines which name the columns are no rows.
	Header bool `json:"header,omitempty"`

	// Those of protobuf: the full name of the message, and the FileDescriptorSet that describes it, stripped to
	// what it needs.
	Message    string `json:"message,omitempty"`
	Descriptor []byte `json:"descriptor,omitempty"`
}

// IsJSON tells whether the format is lines of JSON.
func (s Spec) IsJSON() bool { return s.Name == "" }

// ByPosition tells that rows have their values in the order of the columns, so that none can be taken out.
func (s Spec) ByPosition() bool { return s.Name == CSV }

// ContentType is the label of journals in the format.
func (s Spec) ContentType() string {
	switch s.Name {
	case CSV:
		return "text/csv"
	case Raw:
		return "text/plain"
	case Protobuf:
		return "application/x-protobuf-fixed"
	default:
		return "application/x-ndjson"
	}
}

// OptionError is why an option can't be.
type OptionError struct {
	Option string
	Reason string
	Hint   string // may be empty
}

// Error has the option and the reason.
func (e *OptionError) Error() string { return fmt.Sprintf("option %q: %s", e.Option, e.Reason) }

// optionsOf are the options of each format, beside "format" itself.
var optionsOf = map[string][]string{
	JSON:     nil,
	CSV:      {"delimiter", "escape", "header", "null", "quote"},
	Raw:      nil,
	Protobuf: {"descriptor", "message"},
}

// IsOption tells whether an option of CREATE TABLE is about the format.
func IsOption(name string) bool {
	if name == "format" {
		return true
	}
	for _, options := range optionsOf {
		if slices.Contains(options, name) {
			return true
		}
	}
	return false
}

// Parse reads the options that IsOption is true of, from the text of their values. What can't be is an *OptionError.
func Parse(values map[string]string) (Spec, error) {
	name, named := values["format"]
	name = strings.ToLower(strings.TrimSpace(name))
	if !named {
		name = JSON
	}
	mine, ok := optionsOf[name]
	if !ok {
		return Spec{}, &OptionError{Option: "format", Reason: fmt.Sprintf("%q is not one of %s", name, strings.Join(slices.Sorted(maps.Keys(optionsOf)), ", "))}
	}
	for _, option := range slices.Sorted(maps.Keys(values)) {
		if option != "format" && !slices.Contains(mine, option) {
			return Spec{}, &OptionError{Option: option, Reason: "it isn't an option of the format " + name, Hint: "Say which format has it: format = '...'."}
		}
	}
	switch name {
	case CSV:
		return parseCSV(values)
	case Raw:
		return Spec{Name: Raw}, nil
	case Protobuf:
		return parseProtobuf(values)
	default:
		return Spec{}, nil
	}
}

func parseCSV(values map[string]string) (Spec, error) {
	s := Spec{Name: CSV, Delimiter: ",", Quote: `"`, Null: values["null"]}
	if v, ok := values["delimiter"]; ok {
		s.Delimiter = v
	}
	if v, ok := values["quote"]; ok {
		s.Quote = v
	}
	s.Escape = s.Quote
	if v, ok := values["escape"]; ok {
		s.Escape = v
	}
	if v, ok := values["header"]; ok {
		header, err := parseBool(v)
		if err != nil {
			return Spec{}, &OptionError{Option: "header", Reason: err.Error()}
		}
		s.Header = header
	}
	return s, s.checkCSV()
}

func parseBool(v string) (bool, error) {
	switch v = strings.ToLower(strings.TrimSpace(v)); v {
	case "on", "yes":
		return true, nil
	case "off", "no":
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%q is not true or false", v)
	}
	return b, nil
}

// checkCSV checks that no line can be read in two ways.
func (s Spec) checkCSV() error {
	for _, o := range []struct{ name, value string }{{"delimiter", s.Delimiter}, {"quote", s.Quote}, {"escape", s.Escape}} {
		if len(o.value) != 1 || strings.ContainsAny(o.value, "\n\r\x00") || o.value[0] >= 0x80 {
			return &OptionError{Option: o.name, Reason: "it must be a single one-byte character, and no line break"}
		}
	}
	switch {
	case s.Delimiter == s.Quote:
		return &OptionError{Option: "delimiter", Reason: "delimiter and quote must be different"}
	case strings.ContainsAny(s.Null, "\n\r\x00"):
		return &OptionError{Option: "null", Reason: "it has a line break or a NUL"}
	case strings.Contains(s.Null, s.Delimiter) || strings.Contains(s.Null, s.Quote):
		return &OptionError{Option: "null", Reason: "it has the delimiter or the quote within"}
	case len(s.Null) > maxNull:
		return &OptionError{Option: "null", Reason: fmt.Sprintf("it has %d bytes, at most %d work", len(s.Null), maxNull)}
	}
	return nil
}

// maxNull bounds the text of NULL.
const maxNull = 1024

// Open returns the format; nil for lines of JSON.
func (s Spec) Open() (columnar.Format, error) {
	switch s.Name {
	case "":
		return nil, nil //nolint:nilnil // JSON is no Format
	case CSV:
		if err := s.checkCSV(); err != nil {
			return nil, err
		}
		return csvFormat{s}, nil
	case Raw:
		return rawFormat{}, nil
	case Protobuf:
		return openProtobuf(s)
	}
	return nil, &OptionError{Option: "format", Reason: fmt.Sprintf("%q is not known", s.Name)}
}

// ColumnError is why a column can't stand in a format.
type ColumnError struct {
	Column  string
	Reason  string
	Hint    string // may be empty
	Missing bool   // the format has no such column
}

// Error has the column and the reason.
func (e *ColumnError) Error() string { return fmt.Sprintf("column %q: %s", e.Column, e.Reason) }

// missingValues are the values of columns that a record says nothing of; those that are NULL have no vector.
func missingValues(columns []columnar.Column) ([]*columnar.Vector, error) {
	out := make([]*columnar.Vector, len(columns))
	for i, c := range columns {
		if c.Missing == "" {
			continue
		}
		schema := columnar.Schema{Columns: []columnar.Column{{Name: "v", Type: c.Type}}}
		b, _, err := columnar.NewScanner(strings.NewReader(`{"v":`+c.Missing+"}\n"), columnar.ScanOptions{End: -1, Schema: schema}).Next()
		if err != nil || b.Len != 1 {
			return nil, &ColumnError{Column: c.Name, Reason: "the value of rows without it isn't of its type"}
		}
		if !b.Cols[0].IsNull(0) {
			out[i] = &b.Cols[0]
		}
	}
	return out, nil
}

// appendMissing appends what a record says nothing of.
func appendMissing(c columnar.Column, missing *columnar.Vector, out *columnar.VectorBuilder) columnar.Verdict {
	switch {
	case missing == nil && c.NotNull:
		return columnar.RejectNull(c.Name)
	case out == nil:
	case missing == nil:
		out.AppendNull()
	default:
		out.AppendFrom(missing, 0)
	}
	return columnar.Verdict{}
}

// Check tells whether rows of columns can stand in the format. If not it is a *ColumnError or an *OptionError.
func (s Spec) Check(columns []columnar.Column) error {
	f, err := s.Open()
	if err != nil || f == nil {
		return err
	}
	_, err = f.NewDecoder(columns)
	return err
}
