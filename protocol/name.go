package protocol

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of names, in bytes.
const (
	minJournalName               = 4
	minMeta                      = 1
	maxPathComponent             = 512
	minLabelName, maxLabelName   = 2, 64
	minLabelValue, maxLabelValue = 0, 1024
	minZone, maxZone             = 1, 32
	minSuffix, maxSuffix         = 4, 128
)

// alphabet of a kind of name: letters and numbers of any script, and symbols.
type alphabet string

const (
	// tokenRunes are those of label names and process IDs.
	tokenRunes alphabet = "-_+/."
	// pathRunes are those of journal names, label values and path components.
	pathRunes alphabet = "-_+/.=%"
)

// has reports whether the rune is of the alphabet.
func (a alphabet) has(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.IndexByte(string(a), byte(r)) >= 0
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r)
}

// validate a name: its length in bytes is within the bounds, and each rune is of
// the alphabet.
func (a alphabet) validate(s string, minLen, maxLen int) error {
	if len(s) < minLen || len(s) > maxLen {
		return invalid("invalid length (%d; expected %d <= length <= %d)", len(s), minLen, maxLen)
	}
	for _, r := range s {
		if !a.has(r) {
			return invalid("rune %q isn't allowed (%q)", r, s)
		}
	}
	return nil
}

// ValidateToken accepts a name of so many bytes of letters, numbers and "-_+/.".
func ValidateToken(s string, minLen, maxLen int) error { return tokenRunes.validate(s, minLen, maxLen) }

// validatePathComponent requires a path of pathRunes, relative to some root, below
// it, and in its shortest form, of at most 512 bytes. An empty one is in order if
// minLen is 0. (Gazette lets "../x" pass, which then leads out of a file store.)
func validatePathComponent(s string, minLen int) error {
	if err := pathRunes.validate(s, minLen, maxPathComponent); err != nil || s == "" {
		return err
	}
	if s[0] == '/' {
		return invalid("must not begin with '/' (%q)", s)
	}
	if s == ".." || strings.HasPrefix(s, "../") {
		return invalid("leads out of its root (%q)", s)
	}
	if clean := path.Clean(s); clean != s {
		return invalid("isn't a clean path (%q; expected %q)", s, clean)
	}
	return nil
}

// ValidateJournalName accepts what may be the name of a journal's spec: 4 to 512
// bytes of letters, numbers and "-_+/.=%", a clean path, not rooted, nor to "..".
func ValidateJournalName(name string) error {
	return validatePathComponent(name, minJournalName)
}

// ValidateJournal accepts what may name a journal in a Read, Append or
// ListFragments request: a journal name, and optionally ';' and a meta of 1 to
// 512 bytes. The meta tells apart several readers of a journal.
func ValidateJournal(journal string) error {
	name, meta, found := strings.Cut(journal, ";")
	if err := ValidateJournalName(name); err != nil {
		return err
	}
	if found {
		return within("meta", validatePathComponent(meta, minMeta))
	}
	return nil
}

// SplitMeta returns the name of a journal by which it is resolved, and the meta
// that follows the first ';', if any.
//
//nolint:nonamedreturns // two strings: the names tell them apart.
func SplitMeta(journal string) (name, meta string) {
	name, meta, _ = strings.Cut(journal, ";")
	return name, meta
}
