package catalog

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxIdentifier is the length in bytes of the names of databases, schemas, tables
// and columns, PostgreSQL's NAMEDATALEN less one.
const maxIdentifier = 63

// validateIdentifier accepts what PostgreSQL takes as a quoted identifier.
func validateIdentifier(kind, name string) error {
	switch {
	case name == "":
		return &Error{Code: ErrInvalid, Kind: kind, Name: name, Detail: "a name is not empty"}
	case len(name) > maxIdentifier:
		return &Error{Code: ErrInvalid, Kind: kind, Name: name, Detail: fmt.Sprintf("a name has at most %d bytes, this has %d", maxIdentifier, len(name))}
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return &Error{Code: ErrInvalid, Kind: kind, Name: name, Detail: "a name is UTF-8 without zero bytes"}
	}
	return nil
}

// plain tells whether a rune of an identifier stands for itself in keys and
// journal names. Letters and numbers of every script do, as in journal names.
func plain(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r)
}

const hexDigits = "0123456789ABCDEF"

// escapeName makes an identifier fit for one segment of a journal name, of a label's
// value and of an etcd key: each byte of a rune that isn't plain becomes '+' and two
// hexadecimal digits. '%' isn't used since servers and stores decode it in URLs, nor
// '=' since it makes a path look partitioned.
//
// No two identifiers have the same escaped name.
func escapeName(name string) string {
	var b strings.Builder
	for i, r := range name {
		if plain(r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(name[i : i+utf8.RuneLen(r)]) {
			b.WriteByte('+')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}
