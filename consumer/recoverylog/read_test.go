package recoverylog

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
)

// frameOf an operation, with what it writes.
func frameOf(t require.TestingT, op *RecordedOp, content string) []byte {
	payload, err := proto.Marshal(op)
	require.NoError(t, err)
	b, err := message.Fixed.AppendFrame(nil, payload)
	require.NoError(t, err)
	return append(b, content...)
}

// TestReadSkipsWhatIsNoOperation: it is counted, operations around it have their offsets, and contents are theirs.
func TestReadSkipsWhatIsNoOperation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type expected struct {
			op      *RecordedOp
			content string
		}
		var (
			log     []byte
			want    []expected
			garbage int64
			cut     bool // the last part is a frame that was cut: an operation follows
		)
		for i := range rapid.IntRange(0, 12).Draw(t, "parts") {
			if !cut && rapid.Bool().Draw(t, "garbage") {
				// Without the byte that frames begin with, or a frame that can't be an operation.
				junk := bytes.ReplaceAll(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "bytes"), []byte{0x66}, []byte{0})
				switch rapid.IntRange(0, 4).Draw(t, "kind") {
				case 0:
					junk = append([]byte{0x66, 0x33, 0x93, 0x36, 0xff, 0xff, 0xff, 0xff}, junk...)
				case 1:
					junk = frameOf(t, &RecordedOp{SeqNo: 1, Write: &RecordedOp_Write{Length: -4}}, "")
				case 2:
					junk = []byte{0x66, 0x33, 0x93, 0x36, 1, 0, 0, 0, 0xff}
				case 4: // of any length, but so that what follows isn't taken for the rest of its path
					cut = true
					junk = frameOf(t, &RecordedOp{SeqNo: 1, Create: &RecordedOp_Create{Path: "/a/path"}}, "")
					junk = junk[:rapid.IntRange(1, len(junk)-8).Draw(t, "cut")]
				}
				log, garbage = append(log, junk...), garbage+int64(len(junk))
				continue
			}
			cut = false
			content := rapid.StringN(0, 60, 200).Draw(t, "content")
			op := &RecordedOp{SeqNo: int64(i), Author: 3, Write: &RecordedOp_Write{Fnode: 1, Length: int64(len(content))}}
			frame := frameOf(t, op, content)
			op.Log, op.FirstOffset, op.LastOffset = "a/log", int64(1000+len(log)), int64(1000+len(log)+len(frame))
			want = append(want, expected{op, content})
			log = append(log, frame...)
		}
		r := newOpReader("a/log")
		r.reset(bytes.NewReader(log), 1000)
		for _, w := range want {
			op, payload, err := r.next()
			require.NoError(t, err)
			require.True(t, proto.Equal(w.op, op), "%v\n%v", w.op, op)
			again := new(RecordedOp)
			require.NoError(t, proto.Unmarshal(payload, again))
			require.Equal(t, w.op.GetSeqNo(), again.GetSeqNo())
			if rapid.Bool().Draw(t, "read content") {
				content, err := io.ReadAll(r.content())
				require.NoError(t, err)
				require.Equal(t, w.content, string(content))
			}
		}
		_, _, err := r.next()
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, garbage, r.skipped)
		require.Equal(t, int64(1000+len(log)), r.offset)
	})
}

// TestReadEndsWithinAnOperation: wherever the stream is cut, what was whole is read, and the rest is an unexpected end.
func TestReadEndsWithinAnOperation(t *testing.T) {
	first := frameOf(t, &RecordedOp{SeqNo: 1, Create: &RecordedOp_Create{Path: "/a"}}, "")
	second := frameOf(t, &RecordedOp{SeqNo: 2, Write: &RecordedOp_Write{Fnode: 1, Length: 5}}, "hello")
	log := append(bytes.Clone(first), second...)
	for cut := len(first) + 1; cut < len(log); cut++ {
		r := newOpReader("a/log")
		r.reset(bytes.NewReader(log[:cut]), 0)
		_, _, err := r.next()
		require.NoError(t, err)
		op, _, err := r.next()
		if err == nil {
			require.Equal(t, int64(len(log)), op.GetLastOffset())
			_, err = io.ReadAll(r.content())
		}
		if cut < len(log)-len("hello") { // it isn't an operation
			require.ErrorIs(t, err, io.EOF, "cut at %d", cut)
			require.Equal(t, int64(cut-len(first)), r.skipped)
			continue
		}
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", cut)
	}
}

// FuzzReadLog: any bytes end with an end, account for each byte, and are applied without a panic.
func FuzzReadLog(f *testing.F) {
	ops, contents := pageOps()
	var log []byte
	for i, op := range ops {
		op.SeqNo = int64(i + 1)
		log = append(log, frameOf(f, op, contents[i])...)
	}
	f.Add(log)
	f.Add(append([]byte("garbage"), log[10:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		fsm, err := NewFSM(&FSMHints{Log: "a/log"})
		require.NoError(t, err)
		r := newOpReader("a/log")
		r.reset(bytes.NewReader(b), 0)
		total := int64(0)
		for {
			op, payload, err := r.next()
			if err != nil {
				require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
				break
			}
			require.Equal(t, r.offset, op.GetLastOffset()-op.GetWrite().GetLength())
			total = op.GetFirstOffset()
			op.SeqNo, op.Checksum = fsm.Next()
			_ = fsm.Apply(op, payload)
		}
		require.LessOrEqual(t, total, int64(len(b)))
		require.LessOrEqual(t, r.offset, int64(len(b)))
		if hints := fsm.BuildHints(); len(hints.GetLiveNodes()) == 0 {
			require.NoError(t, hints.Validate())
		}
	})
}
