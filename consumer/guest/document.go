package guest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"mime"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
	"broadsheet.dev/broadsheet/protocol"
)

// LabelUUID of a journal that is read says where its lines of JSON have their UUIDs, as a JSON pointer. Without it that is
// /_meta/uuid.
const LabelUUID = "broadsheet.dev/uuid"

const (
	defaultPointer = "/_meta/uuid"
	// maxDocument is the largest message that a program is given, in bytes.
	maxDocument = 16 << 20
)

// document is a message as bytes.
type document interface {
	message.Message

	content() []byte
}

// newDocument of a journal.
func newDocument(spec *protocol.JournalSpec) (message.Message, error) {
	media, err := mediaOf(spec.GetLabels().ValueOf("content-type"))
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", spec.GetName(), err)
	}
	if media == message.CSV {
		return new(row), nil
	}
	text := spec.GetLabels().ValueOf(LabelUUID)
	if text == "" {
		text = defaultPointer
	}
	at, err := committed.ParsePointer(text)
	if err != nil {
		return nil, fmt.Errorf("journal %s: label %s: %w", spec.GetName(), LabelUUID, err)
	}
	return &line{at: at}, nil
}

// mediaOf a content type: that of JSON lines, or of CSV. Where others have the UUID of a message can't be told.
func mediaOf(contentType string) (string, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil && (media == message.JSONLines || media == message.CSV) {
		return media, nil
	}
	return "", fmt.Errorf("content type %q isn't for programs (expected %s or %s)", contentType, message.JSONLines, message.CSV)
}

// line of JSON.
type line struct {
	at   committed.Pointer
	raw  []byte
	uuid message.UUID
}

// GetUUID as of message.Message.
func (l *line) GetUUID() message.UUID { return l.uuid }

// SetUUID isn't called: it is read, never published.
func (l *line) SetUUID(u message.UUID) { l.uuid = u }

// NewAcknowledgement as of message.Message.
func (l *line) NewAcknowledgement(string) message.Message { return &line{at: l.at} }

// UnmarshalJSON as of json.Unmarshaler.
func (l *line) UnmarshalJSON(raw []byte) error {
	l.raw, l.uuid = bytes.Clone(raw), l.at.UUID(raw)
	return nil
}

func (l *line) content() []byte {
	if l.raw == nil {
		return []byte("null") // For null UnmarshalJSON isn't called.
	}
	return l.raw
}

// row of CSV.
type row struct {
	text []byte
	uuid message.UUID
}

// GetUUID as of message.Message.
func (r *row) GetUUID() message.UUID { return r.uuid }

// SetUUID isn't called: it is read, never published.
func (r *row) SetUUID(u message.UUID) { r.uuid = u }

// NewAcknowledgement as of message.Message.
func (*row) NewAcknowledgement(string) message.Message { return new(row) }

// MarshalCSV isn't called, as above.
func (r *row) MarshalCSV() ([]string, error) {
	return nil, errors.New("a row that is read isn't published")
}

// UnmarshalCSV as of message.CSVMessage. The first field is the UUID if it looks like one.
func (r *row) UnmarshalCSV(fields []string) error {
	text, err := csvText(fields)
	r.text, r.uuid = text, committed.CSV([]byte(fields[0]))
	return err
}

func (r *row) content() []byte { return r.text }

func csvText(fields []string) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write(fields) // to memory
	w.Flush()
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'}), w.Error()
}

// object of JSON that is published. It is written with its UUID at its begin.
type object struct {
	uuid message.UUID
	rest []byte // of the line, after the text of the UUID
}

// newObject of a document, which has no UUID, or gets another one.
func newObject(doc []byte) (*object, error) {
	members, err := membersOf(doc)
	if err != nil {
		return nil, err
	}
	meta, others := []byte(`"`), []byte(`}`)
	seen := false
	for _, m := range members {
		if m.name != "_meta" {
			others = append(append(append(append(others, ','), m.key...), ':'), m.value...)
			continue
		}
		if seen {
			return nil, errors.New("has /_meta twice")
		}
		seen = true
		inner, err := membersOf(m.value)
		if err != nil {
			return nil, fmt.Errorf("/_meta: %w", err)
		}
		for _, i := range inner {
			if i.name != "uuid" {
				meta = append(append(append(append(meta, ','), i.key...), ':'), i.value...)
			}
		}
	}
	return &object{rest: append(append(meta, others...), '}')}, nil
}

// member of an object, with its key as it was written.
type member struct {
	name       string
	key, value json.RawMessage
}

// errNoObject is of a document that isn't one.
var errNoObject = errors.New("isn't an object of JSON")

// membersOf an object, in their order, those that are there twice twice.
func membersOf(doc []byte) ([]member, error) {
	if !json.Valid(doc) {
		var into any
		return nil, fmt.Errorf("isn't JSON: %w", json.Unmarshal(doc, &into))
	}
	return splitObject(doc)
}

// splitObject is membersOf valid JSON.
func splitObject(doc []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoObject
	}
	var out []member
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("isn't JSON: %w", err)
		}
		name, ok := t.(string)
		if !ok {
			return nil, errNoObject
		}
		m := member{name: name}
		if err = d.Decode(&m.value); err == nil {
			m.key, err = json.Marshal(name)
		}
		if err != nil {
			return nil, fmt.Errorf("isn't JSON: %w", err)
		}
		out = append(out, m)
	}
	return out, nil
}

// GetUUID as of message.Message.
func (o *object) GetUUID() message.UUID { return o.uuid }

// SetUUID as of message.Message.
func (o *object) SetUUID(u message.UUID) { o.uuid = u }

// NewAcknowledgement is an object of a UUID alone.
func (*object) NewAcknowledgement(string) message.Message { return &object{rest: []byte(`"}}`)} }

// MarshalJSON as of json.Marshaler.
func (o *object) MarshalJSON() ([]byte, error) {
	out := append(make([]byte, 0, len(o.rest)+60), `{"_meta":{"uuid":"`...)
	out, _ = o.uuid.AppendText(out)
	return append(out, o.rest...), nil
}

// newRecord of a row that is published: its fields come after the UUID.
func newRecord(doc []byte) (*message.CSVRecord, error) {
	if bytes.IndexByte(doc, '\n') >= 0 {
		return nil, errors.New("has a line feed, which a row can't have")
	}
	r := csv.NewReader(bytes.NewReader(doc))
	fields, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("isn't a row of CSV: %w", err)
	}
	out := message.CSVRecord(append([]string{""}, fields...))
	return &out, nil
}
