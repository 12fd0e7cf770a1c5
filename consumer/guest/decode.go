package guest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
)

// What a program sends in JSON is read strictly, and what is wrong with it is said in the program's words: where it is, as
// publishes[0].journal, what is there, and what is wanted. Nothing is passed over: a field that isn't known, and one that is there twice, is
// refused. Null is as if the field weren't there.

// fields of an object, by their names: what reads each of them, from where it is.
type fields map[string]func(at string, value json.RawMessage) error

// decode a body, an object of fields.
func (f fields) decode(body []byte) error {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return errors.New("the request has no body (expected an object of JSON)")
	case !utf8.Valid(body):
		return errors.New("the body isn't UTF-8: bytes that aren't are sent in base 64, as document_base64, key_base64 and value_base64")
	case !json.Valid(body):
		var into any
		return fmt.Errorf("the body isn't JSON: %w", json.Unmarshal(body, &into))
	}
	return f.read("", body)
}

// read an object of valid JSON.
func (f fields) read(at string, text json.RawMessage) error {
	members, err := splitObject(text)
	if err != nil {
		return unexpected(at, text, "an object")
	}
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		field, known := f[m.name]
		switch {
		case !known:
			return fmt.Errorf("%s has no field %q (it has %s)", subject(at), m.name, strings.Join(slices.Sorted(maps.Keys(f)), ", "))
		case seen[m.name]:
			return fmt.Errorf("%s has %q twice", subject(at), m.name)
		}
		seen[m.name] = true
		if kindOf(m.value) == "null" {
			continue
		}
		if err := field(within(at, m.name), m.value); err != nil {
			return err
		}
	}
	return nil
}

// subject of what is said of a place.
func subject(at string) string {
	if at == "" {
		return "the request"
	}
	return at
}

// within an object at a place.
func within(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// kindOf a value of valid JSON.
func kindOf(value json.RawMessage) string {
	switch c := value[0]; c {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

// unexpected value at a place.
func unexpected(at string, value json.RawMessage, wanted string) error {
	return fmt.Errorf("%s: is %s (expected %s)", subject(at), kindOf(bytes.TrimSpace(value)), wanted)
}

// text reads a string.
func text(into *string) func(string, json.RawMessage) error {
	return func(at string, value json.RawMessage) error {
		if value[0] != '"' {
			return unexpected(at, value, "a string")
		}
		if err := json.Unmarshal(value, into); err != nil {
			return err
		}
		if strings.ContainsRune(*into, utf8.RuneError) && !replaces.Match(value) {
			return fmt.Errorf("%s: has half of a surrogate pair, which is no character", at)
		}
		return nil
	}
}

// replaces finds the replacement character, which a string decodes to that has it, and one that has half of a surrogate pair.
var replaces = regexp.MustCompile(`(?i)\\ufffd|\x{fffd}`)

// optional is text whose absence is told from nothing in it.
func optional(into **string) func(string, json.RawMessage) error {
	return func(at string, value json.RawMessage) error {
		*into = new(string)
		return text(*into)(at, value)
	}
}

// base64Text reads bytes. They're never nil.
func base64Text(into *[]byte) func(string, json.RawMessage) error {
	return func(at string, value json.RawMessage) error {
		var s string
		if err := text(&s)(at, value); err != nil {
			return err
		}
		b, err := base64.StdEncoding.AppendDecode([]byte{}, []byte(s))
		if err != nil {
			return fmt.Errorf("%s: isn't base 64, with its padding", at)
		}
		*into = b
		return nil
	}
}

// offset reads a whole number.
func offset(into *int64) func(string, json.RawMessage) error {
	return func(at string, value json.RawMessage) error {
		if kindOf(value) != "a number" {
			return unexpected(at, value, "a whole number")
		}
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %s isn't a whole number, or is too large", at, value)
		}
		*into = n
		return nil
	}
}

// raw takes any value.
func raw(into *json.RawMessage) func(string, json.RawMessage) error {
	return func(_ string, value json.RawMessage) error {
		*into = value
		return nil
	}
}

// list reads each value of a list.
func list(each func(at string, value json.RawMessage) error) func(string, json.RawMessage) error {
	return func(at string, value json.RawMessage) error {
		if value[0] != '[' {
			return unexpected(at, value, "a list")
		}
		var all []json.RawMessage
		if err := json.Unmarshal(value, &all); err != nil {
			return err
		}
		for i, one := range all {
			if err := each(fmt.Sprintf("%s[%d]", at, i), one); err != nil {
				return err
			}
		}
		return nil
	}
}

// decodeCommit reads what a program wants of a transaction.
func decodeCommit(body []byte) (*shardv1.CommitRequest, error) {
	out, changes := new(shardv1.CommitRequest), new(shardv1.Changes)
	var changed bool
	change := func(read func(string, json.RawMessage) error) func(string, json.RawMessage) error {
		return func(at string, value json.RawMessage) error {
			changed = true
			return read(at, value)
		}
	}
	err := fields{
		"shard": text(&out.Shard), "token": text(&out.Token),
		"puts": change(readPuts(&changes.Puts)), "deletes": change(list(readKey(&changes.Deletes))),
		"publishes": change(list(readPublish(&changes.Publishes))), "fail": readFailure(&out.Failure),
	}.decode(body)
	switch {
	case err != nil:
		return nil, err
	case out.GetFailure() != nil && changed:
		return nil, errors.New("fail: can't be with puts, deletes and publishes")
	case out.GetFailure() == nil:
		out.Changes = changes
	}
	return out, nil
}

// decodeLookUp reads which keys a program wants the values of.
func decodeLookUp(body []byte) (*shardv1.ReadRequest, error) {
	out := new(shardv1.ReadRequest)
	err := fields{"shard": text(&out.Shard), "keys": list(readKey(&out.Keys))}.decode(body)
	return out, err
}

func readFailure(into **shardv1.Failure) func(string, json.RawMessage) error {
	return func(at string, value json.RawMessage) error {
		f := new(shardv1.Failure)
		*into = f
		return fields{"journal": text(&f.Journal), "offset": offset(&f.Offset), "text": text(&f.Text)}.read(at, value)
	}
}

// readKey reads a string, or an object with key_base64.
func readKey(into *[][]byte) func(string, json.RawMessage) error {
	return func(at string, value json.RawMessage) error {
		var s *string
		var b []byte
		var err error
		switch value[0] {
		case '"':
			err = optional(&s)(at, value)
		case '{':
			err = fields{"key": optional(&s), "key_base64": base64Text(&b)}.read(at, value)
		default:
			err = unexpected(at, value, "a string, or an object with key_base64")
		}
		if err != nil {
			return err
		}
		key, err := bytesOf(at, "key", s, b)
		*into = append(*into, key)
		return err
	}
}

// bytesOf one of two forms.
func bytesOf(at, name string, s *string, b []byte) ([]byte, error) {
	switch {
	case s != nil && b != nil:
		return nil, fmt.Errorf("%s has both %s and %s_base64", at, name, name)
	case s != nil:
		return []byte(*s), nil
	case b != nil:
		return b, nil
	}
	return nil, fmt.Errorf("%s has neither %s nor %s_base64", at, name, name)
}

// readPuts reads an object of strings, or a list of entries.
func readPuts(into *[]*shardv1.Entry) func(string, json.RawMessage) error {
	return func(at string, value json.RawMessage) error {
		switch value[0] {
		case '{':
			return readTexts(at, value, into)
		case '[':
			return list(readEntry(into))(at, value)
		}
		return unexpected(at, value, "an object of strings, or a list of entries")
	}
}

// readTexts reads an object of strings: what is put, by its key.
func readTexts(at string, object json.RawMessage, into *[]*shardv1.Entry) error {
	members, err := splitObject(object)
	if err != nil {
		return err
	}
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		if seen[m.name] {
			return fmt.Errorf("%s has %q twice", at, m.name)
		}
		seen[m.name] = true
		var value string
		if err := text(&value)(fmt.Sprintf("%s[%q]", at, m.name), m.value); err != nil {
			return err // Null, too: deletes are elsewhere.
		}
		*into = append(*into, &shardv1.Entry{Key: []byte(m.name), Value: []byte(value)})
	}
	return nil
}

func readEntry(into *[]*shardv1.Entry) func(string, json.RawMessage) error {
	return func(at string, entry json.RawMessage) error {
		var key, value *string
		var keyBytes, valueBytes []byte
		err := fields{
			"key": optional(&key), "key_base64": base64Text(&keyBytes), "value": optional(&value), "value_base64": base64Text(&valueBytes),
		}.read(at, entry)
		if err != nil {
			return err
		}
		e := new(shardv1.Entry)
		if e.Key, err = bytesOf(at, "key", key, keyBytes); err != nil {
			return err
		}
		e.Value, err = bytesOf(at, "value", value, valueBytes)
		*into = append(*into, e)
		return err
	}
}

func readPublish(into *[]*shardv1.Publish) func(string, json.RawMessage) error {
	return func(at string, value json.RawMessage) error {
		p := new(shardv1.Publish)
		var key string
		var doc json.RawMessage
		var b []byte
		err := fields{
			"journal": text(&p.Journal), "selector": text(&p.Selector), "key": text(&key), "document": raw(&doc), "document_base64": base64Text(&b),
		}.read(at, value)
		if err != nil {
			return err
		}
		p.Key = []byte(key)
		p.Document, err = documentOf(at, doc, b)
		*into = append(*into, p)
		return err
	}
}

// documentOf a message: an object stands for itself, a string for the text that it has.
func documentOf(at string, doc json.RawMessage, b []byte) ([]byte, error) {
	switch {
	case doc != nil && b != nil:
		return nil, fmt.Errorf("%s has both document and document_base64", at)
	case b != nil:
		return b, nil
	case doc == nil:
		return nil, fmt.Errorf("%s has neither document nor document_base64", at)
	case doc[0] == '"':
		var s string
		err := text(&s)(within(at, "document"), doc)
		return []byte(s), err
	}
	return doc, nil
}
