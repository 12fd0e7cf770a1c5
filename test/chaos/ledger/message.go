package ledger

import "broadsheet.dev/broadsheet/message"

// meta of each message.
type meta struct {
	UUID message.UUID `json:"uuid"`
}

// Deposit of an amount to an account.
type Deposit struct {
	Meta      meta  `json:"_meta"`
	Depositor int   `json:"depositor"`
	Seq       int64 `json:"seq"` // one more than that of the depositor's last in the journal; the first is 1
	Account   int   `json:"account"`
	Amount    int64 `json:"amount"`
}

// GetUUID as of message.Message.
func (d *Deposit) GetUUID() message.UUID { return d.Meta.UUID }

// SetUUID as of message.Message.
func (d *Deposit) SetUUID(u message.UUID) { d.Meta.UUID = u }

// NewAcknowledgement as of message.Message.
func (*Deposit) NewAcknowledgement(string) message.Message { return new(Deposit) }

// Receipt of a deposit.
type Receipt struct {
	Meta      meta   `json:"_meta"`
	Journal   string `json:"journal"` // of the deposit
	Depositor int    `json:"depositor"`
	Seq       int64  `json:"seq"`
}

// GetUUID as of message.Message.
func (r *Receipt) GetUUID() message.UUID { return r.Meta.UUID }

// SetUUID as of message.Message.
func (r *Receipt) SetUUID(u message.UUID) { r.Meta.UUID = u }

// NewAcknowledgement as of message.Message.
func (*Receipt) NewAcknowledgement(string) message.Message { return new(Receipt) }
