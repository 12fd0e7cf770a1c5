package message

import (
	"bytes"
	"encoding"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"google.golang.org/protobuf/proto"
)

// Codec turns messages into the content of frames, and back.
type Codec interface {
	Framing
	// Marshal appends a message's content.
	Marshal(b []byte, m Message) ([]byte, error)
	// Unmarshal content into a message, which is as its type makes it new.
	Unmarshal(content []byte, m Message) error
}

// CodecOf returns the codec of a content type: JSON with encoding/json, CSV of messages
// that are CSVMessages, and protobuf of those that are proto.Messages, or that have
// AppendBinary and UnmarshalBinary.
func CodecOf(contentType string) (Codec, error) {
	framing, err := FramingOf(contentType)
	if err != nil {
		return nil, err
	}
	switch media, _, _ := mime.ParseMediaType(contentType); media { // which FramingOf parsed
	case JSONLines:
		return jsonCodec{framing}, nil
	case CSV:
		return csvCodec{framing}, nil
	default:
		return protoCodec{framing}, nil
	}
}

// Encode appends the frame of a message.
func Encode(c Codec, b []byte, m Message) ([]byte, error) {
	content, err := c.Marshal(nil, m)
	if err != nil {
		return b, fmt.Errorf("message %s: %w", m.GetUUID(), err)
	}
	if b, err = c.AppendFrame(b, content); err != nil {
		return b, fmt.Errorf("message %s: %w", m.GetUUID(), err)
	}
	return b, nil
}

type jsonCodec struct{ Framing }

func (jsonCodec) Marshal(b []byte, m Message) ([]byte, error) {
	content, err := json.Marshal(m)
	return append(b, content...), err
}

func (jsonCodec) Unmarshal(content []byte, m Message) error { return json.Unmarshal(content, m) }

type protoCodec struct{ Framing }

func (protoCodec) Marshal(b []byte, m Message) ([]byte, error) {
	switch m := m.(type) {
	case proto.Message:
		return proto.MarshalOptions{}.MarshalAppend(b, m)
	case encoding.BinaryAppender:
		return m.AppendBinary(b)
	}
	return b, fmt.Errorf("type %T is neither a proto.Message nor has AppendBinary", m)
}

func (protoCodec) Unmarshal(content []byte, m Message) error {
	switch m := m.(type) {
	case proto.Message:
		return proto.Unmarshal(content, m)
	case encoding.BinaryUnmarshaler:
		return m.UnmarshalBinary(content)
	}
	return fmt.Errorf("type %T is neither a proto.Message nor has UnmarshalBinary", m)
}

// CSVMessage is a message that is a record of comma-separated fields.
type CSVMessage interface {
	Message
	// MarshalCSV returns the fields.
	MarshalCSV() ([]string, error)
	// UnmarshalCSV takes the fields, of which there is one at least.
	UnmarshalCSV(fields []string) error
}

type csvCodec struct{ Framing }

func (csvCodec) Marshal(b []byte, m Message) ([]byte, error) {
	r, ok := m.(CSVMessage)
	if !ok {
		return b, fmt.Errorf("type %T is no CSVMessage", m)
	}
	fields, err := r.MarshalCSV()
	if err != nil {
		return b, err
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write(fields) // to memory
	w.Flush()
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte{'\n'})...), w.Error()
}

func (csvCodec) Unmarshal(content []byte, m Message) error {
	into, ok := m.(CSVMessage)
	if !ok {
		return fmt.Errorf("type %T is no CSVMessage", m)
	}
	r := csv.NewReader(bytes.NewReader(content))
	r.FieldsPerRecord = -1
	fields, err := r.Read()
	switch {
	case errors.Is(err, io.EOF): // csv reads over a line without a field
		return errors.New("no record of comma-separated fields")
	case err != nil:
		return fmt.Errorf("record of comma-separated fields: %w", err)
	}
	return into.UnmarshalCSV(fields)
}

// CSVRecord is a CSVMessage of any fields, the first of which is the UUID; empty if there
// is none.
type CSVRecord []string

// GetUUID of the first field; zero if that isn't one.
func (r *CSVRecord) GetUUID() UUID {
	if len(*r) == 0 {
		return UUID{}
	}
	u, err := ParseUUID((*r)[0])
	if err != nil {
		return UUID{}
	}
	return u
}

// SetUUID sets the first field.
func (r *CSVRecord) SetUUID(u UUID) {
	if len(*r) == 0 {
		*r = CSVRecord{""}
	}
	(*r)[0] = u.String()
}

// NewAcknowledgement is a record of a UUID alone.
func (*CSVRecord) NewAcknowledgement(string) Message { return &CSVRecord{""} }

// MarshalCSV returns the record.
func (r *CSVRecord) MarshalCSV() ([]string, error) { return *r, nil }

// UnmarshalCSV takes the fields, if the first is a UUID, or empty.
func (r *CSVRecord) UnmarshalCSV(fields []string) error {
	if fields[0] != "" {
		if _, err := ParseUUID(strings.TrimSpace(fields[0])); err != nil {
			return fmt.Errorf("first field: %w", err)
		}
	}
	*r = fields
	return nil
}
