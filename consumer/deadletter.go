package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// maxDeadLetter is how many bytes of a message a DeadLetter has at most.
const maxDeadLetter = 8 << 20

// DeadLetter is a message that was skipped, as it is published.
type DeadLetter struct {
	// UUID of the dead letter.
	UUID message.UUID `json:"uuid"`
	// Shard that skipped the message.
	Shard string `json:"shard,omitempty"`
	// Journal and offsets of the message.
	Journal string `json:"journal,omitempty"`
	Begin   int64  `json:"begin"`
	End     int64  `json:"end"`
	// Error of the last attempt to consume it; empty if this process hasn't made one.
	Error string `json:"error,omitempty"`
	// Bytes of the message, as they are in the journal, in base 64; if there are too many, their begin.
	Bytes []byte `json:"bytes,omitempty"`
}

// GetUUID as of message.Message.
func (d *DeadLetter) GetUUID() message.UUID { return d.UUID }

// SetUUID as of message.Message.
func (d *DeadLetter) SetUUID(u message.UUID) { d.UUID = u }

// NewAcknowledgement as of message.Message.
func (*DeadLetter) NewAcknowledgement(string) message.Message { return new(DeadLetter) }

// MessageError is of a shard that failed on a message.
type MessageError struct {
	// Journal and Offset of the message.
	Journal string
	Offset  int64
	// Err is how it failed.
	Err error
}

// Error names the message.
func (e *MessageError) Error() string {
	return fmt.Sprintf("message of %s at %d: %v", e.Journal, e.Offset, e.Err)
}

// Unwrap returns how it failed.
func (e *MessageError) Unwrap() error { return e.Err }

// undecodable stands for a message that can't be decoded.
type undecodable struct{ err error }

// GetUUID is zero: there is none, or none that can be told.
func (undecodable) GetUUID() message.UUID { return message.UUID{} }

// SetUUID isn't called.
func (undecodable) SetUUID(message.UUID) {}

// NewAcknowledgement isn't called.
func (u undecodable) NewAcknowledgement(string) message.Message { return u }

// place of a message.
type place struct {
	journal string
	offset  int64
}

// skipped are the messages that labels say to skip.
func skipped(labels *protocol.LabelSet) (map[place]bool, error) {
	values := labels.ValuesOf(LabelSkip)
	if len(values) == 0 {
		return nil, nil
	}
	out := make(map[place]bool, len(values))
	for _, v := range values {
		at := strings.LastIndexByte(v, '=')
		if at < 0 {
			return nil, fmt.Errorf("label %s: %q isn't <journal>=<offset>", LabelSkip, v)
		}
		offset, err := strconv.ParseInt(v[at+1:], 10, 64)
		if err != nil || offset < 0 {
			return nil, fmt.Errorf("label %s: %q isn't <journal>=<offset>: %q is no offset", LabelSkip, v, v[at+1:])
		}
		out[place{strings.ReplaceAll(v[:at], "%3B", ";"), offset}] = true
	}
	if labels.ValueOf(LabelDeadLetters) == "" {
		return nil, fmt.Errorf("label %s: there is no label %s that says where to put what is skipped", LabelSkip, LabelDeadLetters)
	}
	return out, nil
}

// bury a message: publish it, as part of the transaction, to the journal of dead letters.
func (p *primary) bury(ctx context.Context, env message.Envelope) error {
	letter := &DeadLetter{Shard: p.shard.Spec().GetId(), Journal: env.Journal, Begin: env.Begin, End: env.End}
	if last := p.r.lastMessage; last != nil && last.Journal == env.Journal && last.Offset == env.Begin {
		letter.Error = last.Err.Error()
	} else if u, ok := env.Message.(undecodable); ok {
		letter.Error = u.err.Error()
	}
	reader := p.shard.client.NewReader(ctx, &protocol.ReadRequest{
		Journal: env.Journal, Offset: env.Begin, EndOffset: min(env.End, env.Begin+maxDeadLetter), Block: true,
	})
	defer reader.Close() //nolint:errcheck // it never fails
	var err error
	if letter.Bytes, err = io.ReadAll(reader); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read what is to be skipped: %w", err)
	}
	to := mapping.Partition{Journal: p.shard.Spec().GetLabels().ValueOf(LabelDeadLetters), ContentType: message.JSONLines}
	_, err = p.shard.Publish(ctx, func(message.Message) (mapping.Partition, error) { return to, nil }, letter)
	return err
}
