package guest

import (
	"encoding/json"
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
