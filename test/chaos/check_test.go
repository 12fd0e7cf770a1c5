package chaos

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the names of fragments have it
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
)

// sequence is a history of appends one after the other, and the content that they make.
func sequence(n int) ([]operation, []byte) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it is a test
	var ops []operation
	var content []byte
	for i := range n {
		b := body(rng, i%2, i, 1+i%3)
		at := time.Duration(i) * time.Second
		ops = append(ops, operation{
			writer: i % 2, seq: i, body: b, called: at, returned: at + time.Millisecond,
			begin: int64(len(content)), end: int64(len(content) + len(b)),
		})
		content = append(content, b...)
	}
	return ops, content
}

// TestCheckAppends: each kind of violation is found, and what is none isn't.
func TestCheckAppends(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(ops []operation, content []byte) ([]operation, []byte)
		want  string // "" is no violation
	}{
		"good": {func(o []operation, c []byte) ([]operation, []byte) { return o, c }, ""},
		"unknown and there": {func(o []operation, c []byte) ([]operation, []byte) {
			o[3].outcome = unknown
			return o, c
		}, ""},
		"unknown and not there": {func(o []operation, c []byte) ([]operation, []byte) {
			o[9].outcome = unknown
			return o, c[:o[9].begin]
		}, ""},
		"lost": {func(o []operation, c []byte) ([]operation, []byte) { return o, c[:o[9].begin] }, "J2: append 9 of writer 1"},
		"torn at the end": {func(o []operation, c []byte) ([]operation, []byte) {
			o[9].outcome = unknown
			return o, c[:len(c)-3]
		}, "J1: at offset"},
		"cut between lines": {func(o []operation, c []byte) ([]operation, []byte) {
			o[8].outcome, o[9].outcome = unknown, unknown
			return o, c[:int(o[8].begin)+strings.IndexByte(string(c[o[8].begin:]), '\n')+1]
		}, "J1: append 8 of writer 0 ends with the journal"},
		"flipped": {func(o []operation, c []byte) ([]operation, []byte) { c[o[4].begin+40] ^= 1; return o, c }, "J1: at offset"},
		"twice": {func(o []operation, c []byte) ([]operation, []byte) {
			return o, append(c, o[2].body...)
		}, "is there 2 times"},
		"moved": {func(o []operation, c []byte) ([]operation, []byte) {
			o[5].begin++
			return o, c
		}, "J2: append 5 of writer 1"},
		"refused and there": {func(o []operation, c []byte) ([]operation, []byte) {
			o[5].outcome = refused
			return o, c
		}, "was refused"},
		"never made": {func(o []operation, c []byte) ([]operation, []byte) { return o[:9], c }, "never made append 9"},
		"back in time": {func(o []operation, c []byte) ([]operation, []byte) {
			o[2].called, o[2].returned = time.Hour, time.Hour
			return o, c
		}, "J4: append 2 of writer 0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := checkAppends(turn(c.spoil(sequence(10))))
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, strings.Join(got, "\n"), c.want)
		})
	}
}

func turn(ops []operation, content []byte) ([]byte, []operation) { return content, ops }

// TestCheckObjects: an object is refused whose name, length, sum or content is wrong.
func TestCheckObjects(t *testing.T) {
	content := []byte("0123456789")
	name := func(begin, end int64, object string) string {
		return fmt.Sprintf("j/%016x-%016x-%x.raw", begin, end, sha1.Sum([]byte(object))) //nolint:gosec // as above
	}
	for _, c := range []struct{ path, object, want string }{
		{name(2, 5, "234"), "234", ""},
		{"other/what", "234", ""},
		{name(2, 5, "234"), "235", "its sum is"},
		{name(2, 6, "234"), "234", "it has 3 bytes"},
		{name(3, 6, "234"), "234", "other bytes"},
		{name(8, 11, "89x"), "89x", "above the journal's head"},
		{"j/what.raw", "234", "isn't a fragment's"},
	} {
		got := checkObjects("j", content, map[string][]byte{c.path: []byte(c.object)})
		if c.want == "" {
			require.Empty(t, got)
		} else {
			require.Contains(t, strings.Join(got, "\n"), c.want)
		}
	}
}

// TestCheckTail: a reader that got other bytes, or more of them, or less, is found.
func TestCheckTail(t *testing.T) {
	content := []byte("some text of a journal")
	at := func(s string) mark { return mark{int64(len(s)), crc64.Checksum([]byte(s), crcTable)} }
	require.Empty(t, checkTail(&tail{marks: []mark{at("some"), at("some text")}}, content, 9))
	require.NotEmpty(t, checkTail(&tail{marks: []mark{at("some"), at("some test")}}, content, 9))
	require.NotEmpty(t, checkTail(&tail{marks: []mark{at(string(content) + "x")}}, content, 9))
	require.Equal(t, []string{"J8: reader at b got no further than 4, of 9"}, checkTail(&tail{broker: "b", marks: []mark{at("some")}}, content, 9))
	require.NotEmpty(t, checkTail(new(tail), content, 1))
}

// TestCheckContest: appends under conditions that can't have happened in any order are found.
func TestCheckContest(t *testing.T) {
	op := func(who int, in condInput, out condOutput, call, ret int64) porcupine.Operation {
		return porcupine.Operation{ClientId: who, Input: in, Output: out, Call: call, Return: ret}
	}
	line := func(id string) string { return id + strings.Repeat("x", 9-len(id)) + "\n" }
	first := op(0, condInput{id: "1:", size: 10, set: "a"}, condOutput{begin: 0, end: 10}, 1, 2)
	for name, c := range map[string]struct {
		ops     []porcupine.Operation
		content string
		good    bool
	}{
		"fenced": {[]porcupine.Operation{
			first,
			op(1, condInput{id: "2:", size: 10, check: "b"}, condOutput{status: protocol.Status_REGISTER_MISMATCH}, 3, 4),
		}, line("1:"), true},
		"let in by another author": {[]porcupine.Operation{
			first,
			op(1, condInput{id: "2:", size: 10, check: "b"}, condOutput{begin: 10, end: 20}, 3, 4),
		}, line("1:") + line("2:"), false},
		"unknown and there": {[]porcupine.Operation{
			first,
			op(1, condInput{id: "2:", size: 10, check: "a", set: "b"}, condOutput{unknown: true}, 3, 4),
			op(0, condInput{id: "3:", size: 10, check: "b"}, condOutput{begin: 20, end: 30}, 5, 6),
		}, line("1:") + line("2:") + line("3:"), true},
		"unknown, there, and against its condition": {[]porcupine.Operation{
			first,
			op(1, condInput{id: "2:", size: 10, offset: 5}, condOutput{unknown: true}, 3, 4),
		}, line("1:") + line("2:"), false},
		"refused and there": {[]porcupine.Operation{
			first,
			op(1, condInput{id: "2:", size: 10, offset: 5}, condOutput{status: protocol.Status_WRONG_APPEND_OFFSET}, 3, 4),
		}, line("1:") + line("2:"), false},
	} {
		t.Run(name, func(t *testing.T) {
			got := (&contest{journal: "j", ops: c.ops}).check([]byte(c.content), time.Second)
			require.Equal(t, c.good, len(got) == 0, got)
		})
	}
}

// TestExposed: what brokers don't tell of, and what is left.
func TestExposed(t *testing.T) {
	contents := map[string][]byte{"j": []byte("0123456789")}
	object := func(begin, end int) string {
		return fmt.Sprintf("j/%016x-%016x-%040x.raw", begin, end, 0)
	}
	for name, c := range map[string]struct {
		objects      []string
		said         int64
		hidden, left int
	}{
		"nothing is stored, and said to be":   {nil, 10, 0, 1},
		"nothing is stored, and nothing said": {nil, 0, 1, 1},
		"all is":                              {[]string{object(0, 4), object(4, 10)}, 0, 0, 0},
		"all is, and is said not to be":       {[]string{object(0, 10)}, 3, 0, 1},
		"with overlaps":                       {[]string{object(0, 7), object(4, 10)}, 0, 0, 0},
		"with a gap":                          {[]string{object(0, 4), object(5, 10)}, 5, 1, 1},
		"but the end":                         {[]string{object(0, 4)}, 6, 0, 1},
		"another journal's":                   {[]string{"i" + object(0, 10)}, 0, 1, 1},
	} {
		objects := make(map[string][]byte)
		for _, o := range c.objects {
			objects[o] = nil
		}
		hidden, left := exposed(contents, objects, map[string]int64{"j": c.said})
		require.Len(t, hidden, c.hidden, name)
		require.Len(t, left, c.left, name)
	}
}

// TestFlip: a bit is turned, and turned back unless the file isn't what it was then.
func TestFlip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want := bytes.Repeat([]byte("content "), 30)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		after []byte // what the broker makes of it; nil leaves it
		want  []byte
	}{{nil, want}, {want, want}, {[]byte("other"), []byte("other")}} {
		require.NoError(t, os.WriteFile(path, want, 0o600))
		bit, err := flip(rng, path)
		require.NoError(t, err)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotEqual(t, want, got)
		if c.after != nil {
			require.NoError(t, os.WriteFile(path, c.after, 0o600))
		}
		require.NoError(t, bit.restore())
		got, err = os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	bit, err := flip(rng, path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	require.NoError(t, bit.restore())
}
