package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

// TestModTimesAreInclusive: both bounds of a listing are of it, though Gazette's comments say
// that the end isn't; and what is local has no time, and is in it unless there is an end.
func TestModTimesAreInclusive(t *testing.T) {
	for name, c := range map[string]struct {
		modTime, begin, end int64
		in                  bool
	}{
		"no bounds":                {modTime: 5, in: true},
		"at the begin":             {modTime: 5, begin: 5, in: true},
		"before the begin":         {modTime: 4, begin: 5},
		"at the end":               {modTime: 9, begin: 5, end: 9, in: true},
		"after the end":            {modTime: 10, begin: 5, end: 9},
		"local":                    {begin: 5, in: true},
		"local, where an end is":   {end: 9},
		"local, where both are":    {begin: 5, end: 9},
		"local, where nothing is ": {in: true},
	} {
		e := fragments.Entry{Fragment: fragments.Fragment{ModTime: c.modTime}}
		require.Equal(t, c.in, inModTime(&protocol.FragmentsRequest{BeginModTime: c.begin, EndModTime: c.end}, e), name)
	}
}
