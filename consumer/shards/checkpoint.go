package shards

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// NewCheckpoint of what was read, and of the acknowledgements of what was published.
func NewCheckpoint(read map[string]message.JournalState, intents []message.AckIntent) *Checkpoint {
	out := &Checkpoint{Sources: make(map[string]*Checkpoint_Source, len(read)), AckIntents: make(map[string][]byte, len(intents))}
	for journal, state := range read {
		source := &Checkpoint_Source{ReadThrough: state.ReadThrough}
		for _, p := range state.Producers {
			source.Producers = append(source.Producers, &Checkpoint_Source_ProducerEntry{
				Id:    p.Producer[:],
				State: &Checkpoint_ProducerState{LastAck: uint64(p.Acked), Begin: p.Begin},
			})
		}
		out.Sources[journal] = source
	}
	for _, intent := range intents {
		out.AckIntents[intent.Journal] = intent.Frame
	}
	return out
}

// Read is what a Sequencer is restored from. The greatest clock that was pending isn't in a checkpoint: what is read
// again of a pending transaction is known by its clocks as it is committed.
func (x *Checkpoint) Read() (map[string]message.JournalState, error) {
	if err := x.Validate(); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	out := make(map[string]message.JournalState, len(x.GetSources()))
	for journal, source := range x.GetSources() {
		state := message.JournalState{ReadThrough: source.GetReadThrough()}
		for _, p := range source.GetProducers() {
			state.Producers = append(state.Producers, message.ProducerState{
				Producer: message.Producer(p.GetId()),
				Acked:    message.Clock(p.GetState().GetLastAck()),
				Seen:     message.Clock(p.GetState().GetLastAck()),
				Begin:    p.GetState().GetBegin(),
			})
		}
		out[journal] = state
	}
	return out, nil
}

// Intents are the acknowledgements to append, in the order of their journals.
func (x *Checkpoint) Intents() []message.AckIntent {
	out := make([]message.AckIntent, 0, len(x.GetAckIntents()))
	for _, journal := range slices.Sorted(maps.Keys(x.GetAckIntents())) {
		out = append(out, message.AckIntent{Journal: journal, Frame: x.GetAckIntents()[journal]})
	}
	return out
}

// Marshal the checkpoint: equal ones have the same bytes.
func (x *Checkpoint) Marshal() ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(x)
}

// Validate journals, offsets and producers.
func (x *Checkpoint) Validate() error {
	for journal, source := range x.GetSources() {
		err := protocol.ValidateJournal(journal)
		if err == nil {
			err = source.Validate()
		}
		if err != nil {
			return withinKey("Sources", journal, err)
		}
	}
	for journal := range x.GetAckIntents() {
		if err := protocol.ValidateJournal(journal); err != nil {
			return withinKey("AckIntents", journal, err)
		}
	}
	return nil
}

// Validate the offset, and that producers are there once.
func (x *Checkpoint_Source) Validate() error {
	if err := validateOffset("ReadThrough", x.GetReadThrough()); err != nil {
		return err
	}
	seen := make(map[message.Producer]bool, len(x.GetProducers()))
	for i, p := range x.GetProducers() {
		if err := p.Validate(); err != nil {
			return withinIndex("Producers", i, err)
		}
		id := message.Producer(p.GetId())
		if seen[id] {
			return withinIndex("Producers", i, invalidField("Id", "producer %s is there twice", id))
		}
		seen[id] = true
	}
	return nil
}

// Validate that the id has six bytes, and the state.
func (x *Checkpoint_Source_ProducerEntry) Validate() error {
	if n := len(x.GetId()); n != len(message.Producer{}) {
		return invalidField("Id", "invalid length (%d; expected %d)", n, len(message.Producer{}))
	}
	return within("State", x.GetState().Validate())
}

// Validate the begin of a pending span: -1 is none.
func (x *Checkpoint_ProducerState) Validate() error {
	if x.GetBegin() < message.NoSpan {
		return invalidField("Begin", "invalid Begin (%d; expected >= -1)", x.GetBegin())
	}
	return nil
}
