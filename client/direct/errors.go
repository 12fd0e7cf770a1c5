package direct

import (
	"errors"
	"fmt"
	"net/url"

	"broadsheet.dev/broadsheet/protocol"
)

var (
	// ErrUnsupported is of a URL that can't be read from here: no URL at all, another
	// scheme, or a file without a root.
	ErrUnsupported = errors.New("can't be read directly")
	// ErrStalled is of a store that sent nothing for too long.
	ErrStalled = errors.New("store is silent")
	// errLength is of a file with more or less content than its fragment has.
	errLength = errors.New("its length differs from its name's")
)

// SumError is of a fragment whose content hasn't the SHA-1 sum that it is named by.
// Content that was returned before may be wrong.
type SumError struct {
	// Want is the fragment's sum, and Got the content's.
	Want, Got *protocol.SHA1Sum
}

// Error names both sums.
func (e *SumError) Error() string {
	return fmt.Sprintf("its content's SHA-1 is %x (expected %x)", e.Got.Digest(), e.Want.Digest())
}

// Error is of a fragment that couldn't be read. It wraps why.
type Error struct {
	// Fragment that was read.
	Fragment *protocol.Fragment
	// Offset that the read got to.
	Offset int64
	// Err is why.
	Err error
}

// Error names the journal, the fragment, the offset, and why.
func (e *Error) Error() string {
	return fmt.Sprintf("fragment [%d, %d) of %s at offset %d: %s",
		e.Fragment.GetBegin(), e.Fragment.GetEnd(), e.Fragment.GetJournal(), e.Offset, e.Err)
}

// Unwrap is why.
func (e *Error) Unwrap() error { return e.Err }

// withoutURL returns an error of net/http without the URL that it names.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
