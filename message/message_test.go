package message_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
)

const limit = 1 << 20

func framings() map[string]message.Framing {
	return map[string]message.Framing{"lines": message.Lines, "fixed": message.Fixed}
}

// TestFormatDocument: what docs/format/message.md shows is what is made, and read.
func TestFormatDocument(t *testing.T) {
	page, err := os.ReadFile("../docs/format/message.md")
	require.NoError(t, err)
	uuids, frames := 0, 0
	for _, m := range regexp.MustCompile(`(?m)^\| (\w{12}) \| (0x\w{16}) \| (\d) \| (\S{36}) \|$`).FindAllStringSubmatch(string(page), -1) {
		uuids++
		var p message.Producer
		_, err := hex.Decode(p[:], []byte(m[1]))
		require.NoError(t, err)
		clock, err := strconv.ParseUint(m[2], 0, 64)
		require.NoError(t, err)
		flags, err := strconv.Atoi(m[3])
		require.NoError(t, err)
		u := message.NewUUID(p, message.Clock(clock), message.Flags(flags))
		require.Equal(t, m[4], u.String())
		back, err := message.ParseUUID(m[4])
		require.NoError(t, err)
		require.Equal(t, u, back)
	}
	require.Equal(t, 4, uuids)
	for _, m := range regexp.MustCompile("(?m)^\\| (lines|fixed) \\| `(.*)` \\| `(.*)` \\|$").FindAllStringSubmatch(string(page), -1) {
		frames++
		want, err := hex.DecodeString(strings.ReplaceAll(m[3], " ", ""))
		require.NoError(t, err)
		f := framings()[m[1]]
		frame, err := f.AppendFrame(nil, []byte(m[2]))
		require.NoError(t, err)
		require.Equal(t, want, frame)
		got, err := f.ReadFrame(bufio.NewReader(bytes.NewReader(want)), limit)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, m[2], string(f.Message(got)))
	}
	require.Equal(t, 4, frames)
	require.Equal(t, message.Clock(0x1b21dd2138140000), message.ClockAt(time.Unix(0, 0)))
}

// TestRulesDocument: the page's examples of the rules are what a sequencer makes of them.
func TestRulesDocument(t *testing.T) {
	page, err := os.ReadFile("../docs/format/message.md")
	require.NoError(t, err)
	seq, err := message.NewSequencer(message.SequencerConfig{})
	require.NoError(t, err)
	short := func(m message.Message) string {
		u := m.GetUUID()
		if u.IsZero() {
			return "none"
		}
		p := u.Producer()
		return fmt.Sprintf("%c %d", p[5], u.Clock())
	}
	seen := map[string]bool{}
	for i, m := range regexp.MustCompile(`(?m)^(?:(none)|([AB]) (\d+) flags (\d)) +([a-z-]+)(?: +delivers (.*))?$`).FindAllStringSubmatch(string(page), -1) {
		n := new(note)
		if m[1] == "" {
			clock, err := strconv.Atoi(m[3])
			require.NoError(t, err)
			n.UUID = message.NewUUID(named(m[2][0]), message.Clock(clock), message.Flags(m[4][0]-'0'))
		}
		outcome := seq.Push(message.Envelope{Journal: "a/journal", Begin: int64(i), End: int64(i) + 1, Message: n})
		require.Equal(t, m[5], outcome.String(), m[0])
		seen[m[5]] = true
		var delivered []string
		for {
			env, err := seq.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			delivered = append(delivered, short(env.Message))
		}
		require.Equal(t, m[6], strings.Join(delivered, ", "), m[0])
	}
	for o := message.NoUUID; o <= message.AckLate; o++ {
		require.True(t, seen[o.String()], "the page has no %s", o)
	}
}

func TestUUIDKeepsItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p message.Producer
		copy(p[:], rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "producer"))
		p[0] |= 1
		c := message.Clock(rapid.Uint64().Draw(t, "clock"))
		f := message.Flags(rapid.Uint16Range(0, 1023).Draw(t, "flags"))
		u := message.NewUUID(p, c, f)
		require.NoError(t, u.Validate())
		require.Equal(t, p, u.Producer())
		require.Equal(t, c, u.Clock())
		require.Equal(t, f, u.Flags())
		b, err := json.Marshal(u)
		require.NoError(t, err)
		var back message.UUID
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, u, back)
	})
}

func TestUUIDsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"3b4a5968-1d2c-41ee-9c00-010203040506":  "has version 4 (expected 1)",
		"3b4a5968-1d2c-11ee-0c00-010203040506":  "isn't of the variant",
		"3b4a5968-1d2c-11ee-9c00-000203040506":  "is of a hardware address",
		"3b4a5968-1d2c-11ee-9c00-01020304050":   "has 35 characters (expected 36)",
		"3b4a5968-1d2c-11ee-9c00-0102030405060": "has 37 characters (expected 36)",
		"3b4a596811d2c-11ee-9c00-010203040506":  "has no '-' at 8",
		"3b4a596g-1d2c-11ee-9c00-010203040506":  "invalid byte",
	} {
		_, err := message.ParseUUID(text)
		require.ErrorContains(t, err, want, text)
	}
	u, err := message.ParseUUID("00000000-0000-0000-0000-000000000000")
	require.NoError(t, err)
	require.True(t, u.IsZero())
	require.Zero(t, u.Clock())
	require.Panics(t, func() { message.NewUUID(message.NewProducer(), 1, 1024) })
}

func TestProducers(t *testing.T) {
	seen := map[message.Producer]bool{}
	for range 100 {
		p := message.NewProducer()
		require.False(t, seen[p])
		seen[p] = true
		require.NoError(t, message.NewUUID(p, 1, 0).Validate())
	}
}

// TestClocksAscend, whatever the wall clock does, and keep to it.
func TestClocksAscend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ticker message.Ticker
		var last message.Clock
		for range 20 {
			now := time.Unix(rapid.Int64Range(0, 1e10).Draw(t, "now"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns"))
			ticker.Update(now)
			c := ticker.Tick()
			require.Greater(t, c, last)
			require.False(t, c.Time().Before(now.Truncate(100*time.Nanosecond)))
			last = c
		}
		at := last.Time()
		require.Equal(t, last>>4, message.ClockAt(at)>>4)
	})
}

func TestFramingOf(t *testing.T) {
	for contentType, want := range map[string]message.Framing{
		"application/x-ndjson": message.Lines, "text/csv; charset=utf-8": message.Lines, "application/x-protobuf-fixed": message.Fixed,
	} {
		got, err := message.FramingOf(contentType)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := message.FramingOf(message.RecoveryLog)
	require.ErrorContains(t, err, `content type "application/x-gazette-recoverylog" has no framing`)
	_, err = message.FramingOf("")
	require.Error(t, err)
}

// TestFramesAreReadBack, however the stream is cut into reads.
func TestFramesAreReadBack(t *testing.T) {
	for name, f := range framings() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var stream []byte
				var want []string
				for range rapid.IntRange(0, 8).Draw(t, "messages") {
					m := bytes.ReplaceAll(rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "message"), []byte{'\n'}, nil)
					var err error
					stream, err = f.AppendFrame(stream, m)
					require.NoError(t, err)
					want = append(want, string(m))
				}
				cut := rapid.IntRange(0, len(stream)).Draw(t, "cut")
				r := bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(stream[:cut])), 16)
				read := 0
				for i := 0; ; i++ {
					frame, err := f.ReadFrame(r, limit)
					if err != nil {
						if read == cut {
							require.Equal(t, io.EOF, err)
						} else {
							require.Equal(t, io.ErrUnexpectedEOF, err)
						}
						return
					}
					read += len(frame)
					require.Equal(t, want[i], string(f.Message(frame)))
				}
			})
		})
	}
}

func TestFramesThatAreTooLarge(t *testing.T) {
	var tooLarge *message.TooLargeError
	_, err := message.Lines.ReadFrame(bufio.NewReader(strings.NewReader(strings.Repeat("x", 1<<16)+"\n")), 1<<15)
	require.ErrorAs(t, err, &tooLarge)
	_, err = message.Fixed.ReadFrame(bufio.NewReader(strings.NewReader("\x66\x33\x93\x36\xff\xff\xff\xff")), 1<<15)
	require.ErrorAs(t, err, &tooLarge)
	require.Equal(t, int64(1<<32+7), tooLarge.Size)
	_, err = message.Lines.AppendFrame(nil, []byte("a\nb"))
	require.ErrorContains(t, err, "line feed")
	broken := errors.New("broken")
	for _, f := range framings() {
		_, err = f.ReadFrame(bufio.NewReader(iotest.ErrReader(broken)), limit)
		require.ErrorIs(t, err, broken)
	}
}

// TestFixedFindsTheNextFrame after what is none.
func TestFixedFindsTheNextFrame(t *testing.T) {
	frame, err := message.Fixed.AppendFrame(nil, []byte("hello"))
	require.NoError(t, err)
	r := bufio.NewReader(strings.NewReader(string(frame) + "torn\x66\x33" + string(frame) + "end"))
	next := func() (string, error) {
		b, err := message.Fixed.ReadFrame(r, limit)
		return string(message.Fixed.Message(b)), err
	}
	var desync *message.DesyncError
	got, err := next()
	require.NoError(t, err)
	require.Equal(t, "hello", got)
	_, err = next()
	require.ErrorAs(t, err, &desync)
	require.Equal(t, message.DesyncError{Skipped: 6, Begin: []byte("torn\x66\x33")}, *desync)
	got, err = next()
	require.NoError(t, err)
	require.Equal(t, "hello", got)
	_, err = next()
	require.ErrorAs(t, err, &desync)
	require.Equal(t, 3, desync.Skipped)
	_, err = next()
	require.Equal(t, io.EOF, err)
}

// FuzzFrames: reading ends, frames are parts of the stream, and nothing is larger than allowed.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x66\x33\x93\x36\x02\x00\x00\x00hi\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		for _, framing := range framings() {
			r, seen := bufio.NewReader(bytes.NewReader(stream)), 0
			for {
				frame, err := framing.ReadFrame(r, 64)
				if desync, ok := errors.AsType[*message.DesyncError](err); ok {
					seen += desync.Skipped
					continue
				}
				if err != nil {
					break
				}
				require.LessOrEqual(t, len(frame), 64)
				require.Equal(t, stream[seen:seen+len(frame)], frame)
				seen += len(frame)
			}
		}
	})
}
