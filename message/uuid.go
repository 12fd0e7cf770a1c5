package message

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// UUID of a message: an RFC 4122 UUID of version 1, in whose time is the Clock, in
// whose clock sequence the low bits of the Clock and the Flags, and in whose node the
// Producer. The zero UUID is of a message that has none.
type UUID [16]byte

// Producer identifies who publishes: six random bytes, with the bit set that tells that
// they're not an address of hardware.
type Producer [6]byte

// String is the producer as UUIDs have it: 12 digits.
func (p Producer) String() string { return hex.EncodeToString(p[:]) }

// MarshalText is the String, for JSON.
func (p Producer) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, p[:]), nil }

// UnmarshalText reads it.
func (p *Producer) UnmarshalText(text []byte) error {
	if len(text) != 2*len(p) {
		return fmt.Errorf("producer %q has %d digits (expected %d)", text, len(text), 2*len(p))
	}
	if _, err := hex.Decode(p[:], text); err != nil {
		return fmt.Errorf("producer %q: %w", text, err)
	}
	return nil
}

// Flags of a message's UUID.
type Flags uint16

const (
	// OutsideTxn is a message that is committed by itself.
	OutsideTxn Flags = 0
	// ContinueTxn is a message that is committed by a later AckTxn of its producer.
	ContinueTxn Flags = 1
	// AckTxn commits the pending messages of its producer with clocks up to its own.
	AckTxn Flags = 2

	maxFlags = 1<<10 - 1
)

// multicast is the bit that no address of hardware has.
const multicast = 0x01

// NewProducer returns a new one.
func NewProducer() Producer {
	var p Producer
	_, _ = rand.Read(p[:]) // which never fails
	p[0] |= multicast
	return p
}

// NewUUID of a message. Flags beyond ten bits are an error of the program.
func NewUUID(p Producer, c Clock, f Flags) UUID {
	if f > maxFlags {
		panic(fmt.Sprintf("message: flags %#x have more than ten bits", uint16(f)))
	}
	var u UUID
	binary.BigEndian.PutUint32(u[0:], uint32(c>>4))                          //nolint:gosec // the low bits are meant
	binary.BigEndian.PutUint16(u[4:], uint16(c>>36))                         //nolint:gosec // as above
	binary.BigEndian.PutUint16(u[6:], uint16(c>>52)|0x1000)                  //nolint:gosec // as above
	binary.BigEndian.PutUint16(u[8:], 0x8000|uint16(c<<10)&0x3c00|uint16(f)) //nolint:gosec // as above
	copy(u[10:], p[:])
	return u
}

// Clock of the message; 0 if it has no UUID.
func (u UUID) Clock() Clock {
	return Clock(binary.BigEndian.Uint32(u[0:]))<<4 |
		Clock(binary.BigEndian.Uint16(u[4:]))<<36 |
		Clock(binary.BigEndian.Uint16(u[6:])&0x0fff)<<52 |
		Clock(binary.BigEndian.Uint16(u[8:])>>10)&0xf
}

// Producer of the message.
func (u UUID) Producer() Producer { return Producer(u[10:16]) }

// Flags of the message. A value that isn't known is to be treated as OutsideTxn.
func (u UUID) Flags() Flags { return Flags(binary.BigEndian.Uint16(u[8:]) & maxFlags) }

// IsZero tells that the message has no UUID.
func (u UUID) IsZero() bool { return u == UUID{} }

// Validate that the UUID is of a producer: version 1, the variant of RFC 4122, and a
// node that isn't an address; or that it is zero.
func (u UUID) Validate() error {
	switch {
	case u.IsZero():
		return nil
	case u[6]>>4 != 1:
		return fmt.Errorf("UUID %s: has version %d (expected 1)", u, u[6]>>4)
	case u[8]>>6 != 0b10:
		return fmt.Errorf("UUID %s: isn't of the variant of RFC 4122", u)
	case u[10]&multicast == 0:
		return fmt.Errorf("UUID %s: is of a hardware address, not of a producer", u)
	}
	return nil
}

// dashes are where the text of a UUID has them.
var dashes = [...]int{8, 13, 18, 23}

// AppendText appends the text: 36 characters, in lower case.
func (u UUID) AppendText(b []byte) ([]byte, error) {
	for i, part := range [][]byte{u[0:4], u[4:6], u[6:8], u[8:10], u[10:16]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b, nil
}

// String is the text.
func (u UUID) String() string {
	b, _ := u.AppendText(make([]byte, 0, 36))
	return string(b)
}

// MarshalText is the text, for JSON.
func (u UUID) MarshalText() ([]byte, error) { return u.AppendText(nil) }

// UnmarshalText reads the text.
func (u *UUID) UnmarshalText(text []byte) error {
	var digits [32]byte
	n := 0
	if len(text) != 36 {
		return fmt.Errorf("UUID %q has %d characters (expected 36)", text, len(text))
	}
	for i, c := range text {
		if i == dashes[0] || i == dashes[1] || i == dashes[2] || i == dashes[3] {
			if c != '-' {
				return fmt.Errorf("UUID %q has no '-' at %d", text, i)
			}
			continue
		}
		digits[n] = c
		n++
	}
	var out UUID
	if _, err := hex.Decode(out[:], digits[:]); err != nil {
		return fmt.Errorf("UUID %q: %w", text, err)
	}
	*u = out
	return nil
}

// ParseUUID reads the text of a UUID that is valid.
func ParseUUID(text string) (UUID, error) {
	var u UUID
	if err := u.UnmarshalText([]byte(text)); err != nil {
		return UUID{}, err
	}
	return u, u.Validate()
}

// Clock orders the messages of a producer: its upper 60 bits are 100 ns since the
// Gregorian calendar began, the lower 4 a count within those.
type Clock uint64

const (
	// unixEpoch is that of Unix, in 100 ns since 1582-10-15T00:00Z.
	unixEpoch = 122192928000000000
	// tick is how much a Ticker advances: a microsecond, as in Gazette, so that no two
	// messages of a producer have the same time in PostgreSQL's resolution.
	tick Clock = 10 << 4
)

// ClockAt returns the clock of a time, which is of our age.
func ClockAt(t time.Time) Clock {
	return Clock(t.Unix()*1e7+int64(t.Nanosecond()/100)+unixEpoch) << 4 //nolint:gosec // times after 1582 aren't negative
}

// ClockOf returns how much clocks advance in a duration, which isn't negative.
func ClockOf(d time.Duration) Clock { return Clock(max(d, 0)/100) << 4 }

// Time of the clock, to 100 ns.
func (c Clock) Time() time.Time {
	since := int64(c>>4) - unixEpoch //nolint:gosec // 60 bits
	return time.Unix(since/1e7, since%1e7*100).UTC()
}

// Ticker makes clocks of one producer. The zero value is ready. It isn't safe for
// concurrent use: clocks must have the order of the journal anyway.
type Ticker struct{ last Clock }

// Update moves the clock forward to a time, and never back.
func (t *Ticker) Update(now time.Time) { t.last = max(t.last, ClockAt(now)) }

// Tick returns the next clock. A producer of more than a million messages a second
// runs ahead of the time, and falls back to it once it pauses.
func (t *Ticker) Tick() Clock {
	t.last += tick
	return t.last
}
