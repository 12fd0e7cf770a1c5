package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	"broadsheet.dev/broadsheet/message"
)

// Of bytes that are UTF-8 the JSON is a string; of others, it is their base 64 under the name with _base64 behind it.

type jsonTransaction struct {
	Token    string        `json:"token"`
	Messages []jsonMessage `json:"messages"`
}

type jsonMessage struct {
	Journal string          `json:"journal"`
	Offset  int64           `json:"offset"`
	End     int64           `json:"end"`
	UUID    string          `json:"uuid,omitempty"`
	Clock   string          `json:"clock,omitempty"` // its digits: numbers of JSON are too small
	Doc     json.RawMessage `json:"document,omitempty"`
	Bytes   []byte          `json:"document_base64,omitempty"`
}

func transactionOf(t *shardv1.TakeResponse) jsonTransaction {
	out := jsonTransaction{Token: t.GetToken(), Messages: make([]jsonMessage, 0, len(t.GetMessages()))}
	for _, m := range t.GetMessages() {
		j := jsonMessage{Journal: m.GetJournal(), Offset: m.GetBegin(), End: m.GetEnd(), UUID: m.GetUuid()}
		if m.GetClock() != 0 {
			j.Clock = strconv.FormatUint(m.GetClock(), 10)
		}
		switch media, _ := mediaOf(m.GetContentType()); {
		case !utf8.Valid(m.GetDocument()):
			j.Bytes = m.GetDocument()
		case media == message.JSONLines:
			j.Doc = m.GetDocument()
		default:
			j.Doc, _ = json.Marshal(string(m.GetDocument())) // It is text.
		}
		out.Messages = append(out.Messages, j)
	}
	return out
}

type jsonState struct {
	Entries []jsonEntry `json:"entries"`
	More    bool        `json:"more"`
}

// jsonEntry of the state; one without a value isn't there.
type jsonEntry struct {
	Key         *string `json:"key,omitempty"`
	KeyBase64   []byte  `json:"key_base64,omitempty"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

func stateOf(r *shardv1.ReadResponse) jsonState {
	out := jsonState{Entries: make([]jsonEntry, 0, len(r.GetEntries())), More: r.GetMore()}
	for _, e := range r.GetEntries() {
		var j jsonEntry
		j.Key, j.KeyBase64 = textOf(e.GetKey())
		if e.GetFound() {
			j.Value, j.ValueBase64 = textOf(e.GetValue())
		}
		out.Entries = append(out.Entries, j)
	}
	return out
}

func textOf(b []byte) (*string, []byte) {
	if utf8.Valid(b) {
		s := string(b)
		return &s, nil
	}
	return nil, b
}

type jsonCommit struct {
	Shard     string          `json:"shard"`
	Token     string          `json:"token"`
	Puts      json.RawMessage `json:"puts"`
	Deletes   []jsonKey       `json:"deletes"`
	Publishes []jsonPublish   `json:"publishes"`
	Fail      *jsonFail       `json:"fail"`
}

type jsonFail struct {
	Journal string `json:"journal"`
	Offset  int64  `json:"offset"`
	Text    string `json:"text"`
}

type jsonPublish struct {
	Journal  string          `json:"journal"`
	Selector string          `json:"selector"`
	Key      string          `json:"key"`
	Doc      json.RawMessage `json:"document"`
	Bytes    []byte          `json:"document_base64"`
}

// jsonKey is a string, or an object with key_base64.
type jsonKey []byte

// UnmarshalJSON as of json.Unmarshaler.
func (k *jsonKey) UnmarshalJSON(b []byte) error {
	var s string
	if b[0] == '"' {
		err := json.Unmarshal(b, &s)
		*k = jsonKey(s)
		return err
	}
	var e jsonEntry
	if err := strictly(b, &e); err != nil {
		return err
	}
	if e.Value != nil || e.ValueBase64 != nil {
		return errors.New("a key has no value")
	}
	key, err := bytesOf("key", e.Key, e.KeyBase64)
	*k = key
	return err
}

func bytesOf(name string, s *string, b []byte) ([]byte, error) {
	switch {
	case s != nil && b != nil:
		return nil, fmt.Errorf("has both %s and %s_base64", name, name)
	case s != nil:
		return []byte(*s), nil
	case b != nil:
		return b, nil
	}
	return nil, fmt.Errorf("has neither %s nor %s_base64", name, name)
}

// strictly decodes one value: fields that aren't known are refused.
func strictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("there is no JSON")
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the JSON")
	}
	return nil
}

// decodeCommit reads what a program wants of a transaction.
func decodeCommit(body []byte) (*shardv1.CommitRequest, error) {
	var j jsonCommit
	if err := strictly(body, &j); err != nil {
		return nil, err
	}
	out := &shardv1.CommitRequest{Shard: j.Shard, Token: j.Token}
	if f := j.Fail; f != nil {
		if j.Puts != nil || j.Deletes != nil || j.Publishes != nil {
			return nil, errors.New("fail: can't be with puts, deletes and publishes")
		}
		out.Failure = &shardv1.Failure{Journal: f.Journal, Offset: f.Offset, Text: f.Text}
		return out, nil
	}
	out.Changes = new(shardv1.Changes)
	var err error
	if out.Changes.Puts, err = decodePuts(j.Puts); err != nil {
		return nil, fmt.Errorf("puts: %w", err)
	}
	for _, k := range j.Deletes {
		out.Changes.Deletes = append(out.Changes.Deletes, k)
	}
	for i, p := range j.Publishes {
		doc, err := p.document()
		if err != nil {
			return nil, fmt.Errorf("publishes[%d]: %w", i, err)
		}
		out.Changes.Publishes = append(out.Changes.Publishes, &shardv1.Publish{
			Journal: p.Journal, Selector: p.Selector, Key: []byte(p.Key), Document: doc,
		})
	}
	return out, nil
}

type jsonLookUp struct {
	Shard string    `json:"shard"`
	Keys  []jsonKey `json:"keys"`
}

// decodeLookUp reads which keys a program wants the values of.
func decodeLookUp(body []byte) (*shardv1.ReadRequest, error) {
	var j jsonLookUp
	if err := strictly(body, &j); err != nil {
		return nil, err
	}
	out := &shardv1.ReadRequest{Shard: j.Shard}
	for _, k := range j.Keys {
		out.Keys = append(out.Keys, k)
	}
	return out, nil
}

// document of a message: an object stands for itself, a string for the text that it has.
func (p *jsonPublish) document() ([]byte, error) {
	switch {
	case p.Doc != nil && p.Bytes != nil:
		return nil, errors.New("has both document and document_base64")
	case p.Bytes != nil:
		return p.Bytes, nil
	case len(p.Doc) == 0:
		return nil, errors.New("has neither document nor document_base64")
	case p.Doc[0] == '"':
		var s string
		err := json.Unmarshal(p.Doc, &s)
		return []byte(s), err
	}
	return p.Doc, nil
}

// decodePuts reads an object of strings, or a list of entries.
func decodePuts(text json.RawMessage) ([]*shardv1.Entry, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	var out []*shardv1.Entry
	if text[0] == '{' {
		var byKey map[string]*string
		if err := json.Unmarshal(text, &byKey); err != nil {
			return nil, fmt.Errorf("values are strings, or entries of a list: %w", err)
		}
		for _, key := range slices.Sorted(maps.Keys(byKey)) {
			if byKey[key] == nil {
				return nil, fmt.Errorf("value of %q is null: deletes are elsewhere", key)
			}
			out = append(out, &shardv1.Entry{Key: []byte(key), Value: []byte(*byKey[key])})
		}
		return out, nil
	}
	var entries []jsonEntry
	if err := strictly(text, &entries); err != nil {
		return nil, err
	}
	for i, e := range entries {
		key, err := bytesOf("key", e.Key, e.KeyBase64)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		value, err := bytesOf("value", e.Value, e.ValueBase64)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		out = append(out, &shardv1.Entry{Key: key, Value: value})
	}
	return out, nil
}
