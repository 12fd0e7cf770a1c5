package message

import "broadsheet.dev/broadsheet/protocol"

// Message is content that knows its UUID. The type says where in the content it is.
type Message interface {
	// GetUUID returns the UUID; the zero one if the message has none.
	GetUUID() UUID
	// SetUUID gives the message a UUID.
	SetUUID(u UUID)
	// NewAcknowledgement returns a message of the same type, without content, that is to
	// acknowledge those of a transaction in a journal. Readers know it by its flags.
	NewAcknowledgement(journal string) Message
}

// Envelope is a message, and where it was read.
type Envelope struct {
	// Journal as it is read: with its meta-suffix, if it is read under one.
	Journal string
	// Spec of the journal, if it is known.
	Spec *protocol.JournalSpec
	// Begin and End of the message's frame.
	Begin, End int64
	// Message that was read.
	Message Message
}

// Iterator returns messages of a journal, one after another.
type Iterator interface {
	// Next returns the next message, and io.EOF once all have been returned.
	Next() (Envelope, error)
}

// AckIntent is an acknowledgement that may be appended to a journal once the transaction
// is committed; and then must be, any number of times but never changed.
type AckIntent struct {
	// Journal to append to.
	Journal string
	// Frame to be appended.
	Frame []byte
}
