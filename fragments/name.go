package fragments

import (
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/fragments/codec"
)

// NameError is why a path isn't that of a fragment of a journal.
type NameError struct {
	// Journal whose fragment it should be.
	Journal string
	// Path of the object, relative to its store.
	Path string
	// Reason, as a clause.
	Reason string
}

// Error names the path, the journal and the reason.
func (e *NameError) Error() string {
	return fmt.Sprintf("object %q is no fragment of journal %q: %s", e.Path, e.Journal, e.Reason)
}

// ContentName is the base name of the fragment's object: its offsets and the sum of
// its content, so that equal names mean equal content.
func (f Fragment) ContentName() string {
	if f.Name != "" {
		return f.Name
	}
	return fmt.Sprintf("%016x-%016x-%x%s", f.Begin, f.End, f.Sum, codec.Extension(f.Codec))
}

// ContentPath is the path of the fragment's object, relative to its store.
func (f Fragment) ContentPath() string {
	return path.Join(f.Journal, f.PathPostfix, f.ContentName())
}

// ParseContentPath is the fragment of journal that the object at rel, relative to
// its store, holds; else a *NameError. Store and ModTime are left to the caller,
// who also has to tell (by NestedJournal) whether the object is another journal's:
// the directory of a journal "a/b" and a path postfix "b" of a journal "a" look alike.
func ParseContentPath(journal, rel string) (Fragment, error) {
	fail := func(format string, args ...any) (Fragment, error) {
		return Fragment{}, &NameError{Journal: journal, Path: rel, Reason: fmt.Sprintf(format, args...)}
	}
	below, ok := strings.CutPrefix(rel, journal+"/")
	if !ok || journal == "" {
		return fail("it is not in the journal's directory")
	}
	dir, name := path.Split(below)
	// A clone doesn't keep the whole of rel alive in an index of many fragments.
	f := Fragment{Journal: journal, PathPostfix: strings.Clone(strings.TrimSuffix(dir, "/"))}
	parts := strings.Split(name, "-")
	if len(parts) != 3 {
		return fail("its name has %d parts, not 3", len(parts))
	}
	var err error
	if f.Begin, err = parseOffset(parts[0]); err != nil {
		return fail("its begin: %v", err)
	}
	if f.End, err = parseOffset(parts[1]); err != nil {
		return fail("its end: %v", err)
	}
	digits := 2 * len(f.Sum)
	if len(parts[2]) < digits {
		return fail("its sum has fewer than %d digits", digits)
	}
	if _, err = hex.Decode(f.Sum[:], []byte(parts[2][:digits])); err != nil {
		return fail("its sum: %v", err)
	}
	if f.Codec, err = codec.FromExtension(parts[2][digits:]); err != nil {
		return fail("%v", err)
	}
	if err = f.Proto().Validate(); err != nil {
		return fail("%v", err)
	}
	if f.ContentName() != name {
		f.Name = strings.Clone(name)
	}
	if f.ContentPath() != rel {
		return fail("it is not a clean path")
	}
	return f, nil
}

// parseOffset reads 1 to 16 hexadecimal digits.
func parseOffset(s string) (int64, error) {
	if len(s) > 16 {
		return 0, fmt.Errorf("%q has more than 16 digits", s)
	}
	u, err := strconv.ParseUint(s, 16, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is no offset in hexadecimal", s)
	}
	return int64(u), nil //nolint:gosec // ParseUint bounds it to 63 bits
}

// NestedJournal is the journal in whose directory the fragment's object lies, if
// that isn't the fragment's own: the longest name made of Journal and leading
// elements of PathPostfix that exists knows. Bytes of such an object are never to
// be served as the outer journal's.
func (f Fragment) NestedJournal(exists func(journal string) bool) (string, bool) {
	for dir := path.Join(f.Journal, f.PathPostfix); len(dir) > len(f.Journal); dir = path.Dir(dir) {
		if exists(dir) {
			return dir, true
		}
	}
	return "", false
}
