package columnar

import (
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

// acks knows the lines that acknowledge others; the zero value, where lines aren't messages, none.
type acks struct{ find committed.Finder }

// acks of a valid schema.
func (s Schema) acks() acks {
	if s.Messages == "" {
		return acks{}
	}
	p, _ := committed.ParsePointer(s.Messages) // as Validate did
	return acks{p.UUID}
}

func (a acks) has(line []byte) bool {
	if a.find == nil {
		return false
	}
	u := a.find(line)
	return u.Clock() != 0 && u.Flags() == message.AckTxn
}
