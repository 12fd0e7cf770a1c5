package auth

import (
	"fmt"
	"strings"
)

// Capability is a set of what a token allows, one bit each. Bits from 1<<16 on are
// for applications.
type Capability uint32

// Capabilities of the journal protocol.
const (
	List Capability = 1 << (iota + 1)
	Apply
	Read
	Append
	Replicate

	// All capabilities, those of applications too.
	All Capability = 1<<32 - 1
)

// Has tells whether all of want are in the set.
func (c Capability) Has(want Capability) bool { return c&want == want }

// String has the names of the set, joined by '|'; other bits as one number.
func (c Capability) String() string {
	if c == 0 {
		return "NONE"
	}
	if c == All {
		return "ALL"
	}
	var words []string
	for _, n := range []struct {
		bit  Capability
		name string
	}{{List, "LIST"}, {Apply, "APPLY"}, {Read, "READ"}, {Append, "APPEND"}, {Replicate, "REPLICATE"}} {
		if c.Has(n.bit) {
			words = append(words, n.name)
			c &^= n.bit
		}
	}
	if c != 0 {
		words = append(words, fmt.Sprintf("%#x", uint32(c)))
	}
	return strings.Join(words, "|")
}
