package message_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// content is a Reader of a journal's bytes from an offset on.
type content struct {
	r      io.Reader
	offset int64
	closed *int
}

func (c *content) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.offset += int64(n)
	return n, err
}

func (c *content) Offset() int64 { return c.offset }

func (c *content) Close() error {
	*c.closed++
	return nil
}

// binary is a message that is its own encoding.
type binary struct {
	message.UUID
	text string
}

func (b *binary) GetUUID() message.UUID                   { return b.UUID }
func (b *binary) SetUUID(u message.UUID)                  { b.UUID = u }
func (*binary) NewAcknowledgement(string) message.Message { return &binary{text: "ack"} }

func (b *binary) AppendBinary(p []byte) ([]byte, error) {
	return append(append(p, b.UUID[:]...), b.text...), nil
}

func (b *binary) UnmarshalBinary(p []byte) error {
	if len(p) < 16 {
		return fmt.Errorf("%d bytes are no message", len(p))
	}
	b.UUID, b.text = message.UUID(p[:16]), string(p[16:])
	return nil
}

// value is a message of protobuf.
type value struct{ *wrapperspb.BytesValue }

func (v value) GetUUID() message.UUID                   { return message.UUID(append(v.Value, make([]byte, 16)...)) }
func (v value) SetUUID(u message.UUID)                  { v.Value = u[:] }
func (value) NewAcknowledgement(string) message.Message { return value{new(wrapperspb.BytesValue)} }

// kinds of messages, by content type.
var kinds = map[string]func(text string) message.Message{
	message.JSONLines:                    func(s string) message.Message { return &note{Text: s} },
	message.CSV:                          func(s string) message.Message { return &message.CSVRecord{"", s, `a "quote", and more`} },
	message.ProtobufFixed:                func(s string) message.Message { return &binary{text: s} },
	message.ProtobufFixed + "; v=google": func(string) message.Message { return value{new(wrapperspb.BytesValue)} },
}

func specOf(contentType string) *protocol.JournalSpec {
	return &protocol.JournalSpec{
		Name:   "a/journal",
		Labels: &protocol.LabelSet{Labels: []*protocol.Label{{Name: "content-type", Value: contentType}}},
	}
}

// TestIterators: of each kind of messages, uncommitted are all, and committed are those of
// a transaction, once, also if they're read again; each with its offsets.
func TestIterators(t *testing.T) {
	for contentType, kind := range kinds {
		t.Run(contentType, func(t *testing.T) {
			codec, err := message.CodecOf(contentType)
			require.NoError(t, err)
			var journal []byte
			bounds := []int64{0}
			add := func(p byte, clock message.Clock, f message.Flags) {
				m := kind(fmt.Sprint("text ", clock))
				if f == message.AckTxn {
					m = m.NewAcknowledgement("a/journal")
				}
				m.SetUUID(message.NewUUID(named(p), clock, f))
				journal, err = message.Encode(codec, journal, m)
				require.NoError(t, err)
				bounds = append(bounds, int64(len(journal)))
			}
			for clock := range message.Clock(5) {
				add('A', 10+clock, message.ContinueTxn)
				add('B', 20+clock, message.ContinueTxn)
			}
			add('A', 11, message.ContinueTxn)
			add('A', 30, message.AckTxn)
			add('B', 19, message.OutsideTxn)

			closed := 0
			from := func(begin, end int64) *content {
				return &content{iotest.HalfReader(bytes.NewReader(journal[begin:end])), begin, &closed}
			}
			cfg := message.IteratorConfig{Spec: specOf(contentType), New: func(spec *protocol.JournalSpec) (message.Message, error) {
				require.Equal(t, "a/journal", spec.GetName())
				return kind(""), nil
			}}
			all, err := message.ReadUncommitted(from(0, bounds[13]), cfg)
			require.NoError(t, err)
			for i := range 13 {
				env, err := all.Next()
				require.NoError(t, err)
				require.Equal(t, [2]int64{bounds[i], bounds[i+1]}, [2]int64{env.Begin, env.End})
				require.Equal(t, "a/journal", env.Journal)
			}
			_, err = all.Next()
			require.Equal(t, io.EOF, err)

			seq, err := message.NewSequencer(message.SequencerConfig{Messages: 3})
			require.NoError(t, err)
			all, err = message.ReadUncommitted(from(0, bounds[13]), cfg)
			require.NoError(t, err)
			committed := message.ReadCommitted(all, seq, func(r message.Range) (message.Reader, error) { return from(r.Begin, r.End), nil })
			for _, i := range []int{0, 2, 4, 6, 8, 11} {
				env, err := committed.Next()
				require.NoError(t, err)
				require.Equal(t, bounds[i], env.Begin, i)
			}
			_, err = committed.Next()
			require.Equal(t, io.EOF, err)
			require.Equal(t, 1, closed)
			require.Equal(t, bounds[13], seq.Checkpoint()["a/journal"].ReadThrough)
		})
	}
}

// TestIteratorsGoOnAfterWhatIsNoMessage, and end with what they can't read.
func TestIteratorsGoOnAfterWhatIsNoMessage(t *testing.T) {
	u := message.NewUUID(named('A'), 5, message.OutsideTxn)
	journal := `{"UUID":"` + u.String() + `"}` + "\n{torn\n" + `{"UUID":"` + u.String() + `"}` + "\n{"
	cfg := message.IteratorConfig{
		Journal: "a/journal;meta", Spec: specOf(message.JSONLines), New: func(*protocol.JournalSpec) (message.Message, error) { return new(note), nil },
	}
	it, err := message.ReadUncommitted(&content{r: bytes.NewReader([]byte(journal)), offset: 100}, cfg)
	require.NoError(t, err)
	_, err = it.Next()
	require.NoError(t, err)
	_, err = it.Next()
	var bad *message.SkippedError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, message.Range{Journal: "a/journal;meta", Begin: 148, End: 154}, bad.Range)
	require.ErrorContains(t, err, "a/journal;meta [148, 154) is no message: invalid character")
	env, err := it.Next()
	require.NoError(t, err)
	require.Equal(t, int64(154), env.Begin)
	for range 2 {
		_, err = it.Next()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.ErrorContains(t, err, "message of a/journal;meta at 202")
	}

	cfg.New = func(*protocol.JournalSpec) (message.Message, error) { return nil, errFaulty }
	it, err = message.ReadUncommitted(&content{r: bytes.NewReader([]byte(journal))}, cfg)
	require.NoError(t, err)
	for range 2 { // it is nothing that could be read over
		_, err = it.Next()
		require.ErrorIs(t, err, errFaulty)
		require.ErrorContains(t, err, "message of a/journal;meta at 0: make a new one: ")
	}
	cfg.New = func(*protocol.JournalSpec) (message.Message, error) { return nil, io.EOF }
	it, err = message.ReadUncommitted(&content{r: bytes.NewReader([]byte(journal))}, cfg)
	require.NoError(t, err)
	_, err = it.Next()
	require.ErrorContains(t, err, "make a new one: EOF")
	require.NotErrorIs(t, err, io.EOF)
	cfg.New = func(*protocol.JournalSpec) (message.Message, error) { return new(note), nil }
	cfg.MaxFrame = 5
	it, err = message.ReadUncommitted(&content{r: bytes.NewReader([]byte(journal))}, cfg)
	require.NoError(t, err)
	_, err = it.Next()
	require.ErrorContains(t, err, "expected at most 5")
	it, err = message.ReadUncommitted(&content{r: iotest.ErrReader(errFaulty)}, cfg)
	require.NoError(t, err)
	_, err = it.Next()
	require.ErrorIs(t, err, errFaulty)
}

// TestBlankLinesAreNoEnd: a line of CSV without a field is read over, as it stands and in a
// replay, and what follows is delivered.
func TestBlankLinesAreNoEnd(t *testing.T) {
	codec, err := message.CodecOf(message.CSV)
	require.NoError(t, err)
	var journal []byte
	for i := range message.Clock(5) {
		f := message.ContinueTxn
		if i == 4 {
			f = message.AckTxn
		}
		r := &message.CSVRecord{"", "text"}
		r.SetUUID(message.NewUUID(named('A'), 10+i, f))
		journal, err = message.Encode(codec, journal, r)
		require.NoError(t, err)
		journal = append(journal, [...]string{"\n", "\r\n"}[i%2]...)
	}
	seq, err := message.NewSequencer(message.SequencerConfig{Messages: 1})
	require.NoError(t, err)
	cfg := message.IteratorConfig{Spec: specOf(message.CSV), New: func(*protocol.JournalSpec) (message.Message, error) { return new(message.CSVRecord), nil }}
	all, err := message.ReadUncommitted(&content{r: bytes.NewReader(journal)}, cfg)
	require.NoError(t, err)
	replays, closed := 0, 0
	committed := message.ReadCommitted(all, seq, func(r message.Range) (message.Reader, error) {
		replays++
		return &content{bytes.NewReader(journal[r.Begin:r.End]), r.Begin, &closed}, nil
	})
	var clocks []message.Clock
	blank := map[int64]int{}
	for {
		env, err := committed.Next()
		if skipped, is := errors.AsType[*message.SkippedError](err); is {
			require.NotErrorIs(t, err, io.EOF)
			require.ErrorContains(t, err, "no record of comma-separated fields")
			blank[skipped.Range.Begin]++
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		clocks = append(clocks, env.Message.GetUUID().Clock())
	}
	require.Equal(t, []message.Clock{10, 11, 12, 13, 14}, clocks)
	require.Equal(t, 1, replays)
	require.Len(t, blank, 5)
	again := 0
	for _, times := range blank {
		again += times - 1
	}
	require.Equal(t, 3, again, "those before the message that the ring held")
}

// ending is a message whose content ends too early, as its type tells.
type ending struct{ binary }

func (*ending) UnmarshalBinary([]byte) error { return io.EOF }

// TestDecodingNeverEndsAJournal, whatever a codec or a type takes for an end.
func TestDecodingNeverEndsAJournal(t *testing.T) {
	journal, err := message.Fixed.AppendFrame(nil, []byte("x"))
	require.NoError(t, err)
	all, err := message.ReadUncommitted(&content{r: bytes.NewReader(journal)}, message.IteratorConfig{
		Spec: specOf(message.ProtobufFixed), New: func(*protocol.JournalSpec) (message.Message, error) { return new(ending), nil },
	})
	require.NoError(t, err)
	_, err = all.Next()
	_, is := errors.AsType[*message.SkippedError](err)
	require.True(t, is)
	require.NotErrorIs(t, err, io.EOF)
	_, err = all.Next()
	require.Equal(t, io.EOF, err)
}

// TestReplaysAreTriedAgain: a fault of a replay is reported, and nothing is lost by it, nor
// delivered twice.
func TestReplaysAreTriedAgain(t *testing.T) {
	codec, err := message.CodecOf(message.JSONLines)
	require.NoError(t, err)
	var journal []byte
	for i := range message.Clock(6) {
		f := message.ContinueTxn
		if i == 5 {
			f = message.AckTxn
		}
		journal, err = message.Encode(codec, journal, &note{UUID: message.NewUUID(named('A'), 10+i, f), Text: "text"})
		require.NoError(t, err)
	}
	seq, err := message.NewSequencer(message.SequencerConfig{Messages: 1})
	require.NoError(t, err)
	cfg := message.IteratorConfig{Spec: specOf(message.JSONLines), New: func(*protocol.JournalSpec) (message.Message, error) { return new(note), nil }}
	all, err := message.ReadUncommitted(&content{r: bytes.NewReader(journal)}, cfg)
	require.NoError(t, err)
	closed, opened := 0, 0
	committed := message.ReadCommitted(all, seq, func(r message.Range) (message.Reader, error) {
		switch opened++; opened {
		case 1:
			return nil, errFaulty
		case 2:
			return &content{io.MultiReader(bytes.NewReader(journal[r.Begin:r.Begin+150]), iotest.ErrReader(errFaulty)), r.Begin, &closed}, nil
		case 3: // of another range
			return &content{bytes.NewReader(journal[r.End:]), r.End, &closed}, nil
		case 4: // of nothing
			return &content{bytes.NewReader(nil), r.Begin, &closed}, nil
		case 5: // of two messages of its four
			return &content{bytes.NewReader(journal[r.Begin : r.End/2]), r.Begin, &closed}, nil
		}
		return &content{bytes.NewReader(journal[r.Begin:r.End]), r.Begin, &closed}, nil
	})
	var clocks []message.Clock
	var failures []error
	for {
		env, err := committed.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		clocks = append(clocks, env.Message.GetUUID().Clock())
	}
	require.Equal(t, []message.Clock{10, 11, 12, 13, 14, 15}, clocks)
	require.Len(t, failures, 5)
	for i, end := range []string{"ends at 0: ", "ends at 124: "} {
		require.ErrorIs(t, failures[3+i], io.ErrUnexpectedEOF)
		require.ErrorContains(t, failures[3+i], end)
	}
	require.Equal(t, 5, closed)
	require.NoError(t, committed.Close())
}

func TestCodecsRefuse(t *testing.T) {
	_, err := message.CodecOf("text/plain")
	require.ErrorContains(t, err, "has no framing")
	for contentType, want := range map[string]string{
		message.CSV: "type *message_test.note is no CSVMessage", message.ProtobufFixed: "type *message_test.note is neither a proto.Message nor has AppendBinary",
	} {
		codec, err := message.CodecOf(contentType)
		require.NoError(t, err)
		_, err = message.Encode(codec, nil, new(note))
		require.ErrorContains(t, err, want)
		require.Error(t, codec.Unmarshal([]byte("x"), new(note)))
	}
	codec, err := message.CodecOf(message.CSV)
	require.NoError(t, err)
	_, err = message.Encode(codec, nil, &message.CSVRecord{"", "a\nb"})
	require.ErrorContains(t, err, "line feed")
	require.ErrorContains(t, codec.Unmarshal([]byte("a,b"), new(message.CSVRecord)), `first field: UUID "a"`)
	require.Error(t, codec.Unmarshal([]byte(`"`), new(message.CSVRecord)))
	require.Error(t, codec.Unmarshal(nil, new(message.CSVRecord)))
	record := new(message.CSVRecord)
	require.True(t, record.GetUUID().IsZero())
	require.NoError(t, codec.Unmarshal([]byte(",b"), record))
	require.True(t, record.GetUUID().IsZero())
	record.SetUUID(message.NewUUID(named('A'), 7, 0))
	require.Equal(t, message.Clock(7), record.GetUUID().Clock())

	for want, cfg := range map[string]message.IteratorConfig{
		"no journal":                {},
		"nothing makes new":         {Journal: "a/journal"},
		"must not be negative":      {Journal: "a/journal", MaxFrame: -1, New: func(*protocol.JournalSpec) (message.Message, error) { return new(note), nil }},
		"of a/journal: content typ": {Journal: "a/journal", New: func(*protocol.JournalSpec) (message.Message, error) { return new(note), nil }},
	} {
		_, err := message.ReadUncommitted(&content{}, cfg)
		require.ErrorContains(t, err, want)
	}
}
