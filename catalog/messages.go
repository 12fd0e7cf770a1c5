package catalog

import (
	"fmt"
	"strings"

	"broadsheet.dev/broadsheet/message/committed"
)

// defaultUUID is where a line has its UUID, unless the table says otherwise.
const defaultUUID = "/_meta/uuid"

// metaKey is where the lines of a transactional table have them.
const metaKey = "_meta"

// Reads is which lines of its journals a table shows. The zero value is every line that fits.
type Reads string

// ReadsCommitted shows lines that are committed, each once: they are messages (docs/format/message.md).
const ReadsCommitted Reads = "committed"

func setReads(field *Reads, value string) error {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "committed":
		*field = ReadsCommitted
	case "all":
		*field = ""
	default:
		return fmt.Errorf("%q is not one of all, committed", value)
	}
	return nil
}

func setPointer(field *string, value string) error {
	if _, err := committed.ParsePointer(value); err != nil {
		return err
	}
	*field = value
	return nil
}

// messages is where lines have their UUIDs; "" if they're no messages.
func (o Options) messages() string {
	switch {
	case o.Transactional:
		return defaultUUID
	case o.Reads != ReadsCommitted:
		return ""
	case o.UUID == "":
		return defaultUUID
	default:
		return o.UUID
	}
}

func errMetaColumn() *Error {
	return &Error{Code: ErrReserved, Kind: "column", Name: metaKey, Detail: "a transactional table has UUIDs there"}
}

// validateMessages checks what is about messages. It is of tables over existing journals too.
func (o Options) validateMessages(columns map[string]bool) error {
	bad := func(name, detail string) error {
		return &Error{Code: ErrInvalid, Kind: "option", Name: name, Detail: detail}
	}
	if o.Reads != "" && o.Reads != ReadsCommitted {
		return bad("reads", fmt.Sprintf("%q is not one of all, committed", string(o.Reads)))
	}
	if o.Transactional && o.UUID != "" && o.UUID != defaultUUID {
		return bad("uuid", "a transactional table has UUIDs at "+defaultUUID)
	}
	if o.Transactional && columns[metaKey] {
		return errMetaColumn()
	}
	if o.UUID == "" || o.Transactional {
		return nil
	}
	if o.Reads != ReadsCommitted {
		return bad("uuid", "it is of tables with reads = 'committed'")
	}
	if _, err := committed.ParsePointer(o.UUID); err != nil {
		return bad("uuid", err.Error())
	}
	return nil
}
