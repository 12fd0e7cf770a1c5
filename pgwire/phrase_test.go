package pgwire

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A phrase is one message of a client as text: its type and its fields, with strings in
// Go's quotes.
//
//	Query "select 1"
//	Parse "name" "select $1" 23
//	Bind "portal" "name" in=1,0 "value" NULL out=1
//	Describe S "name"        Close P "portal"       Execute "portal" 10
//	Sync  Flush  Terminate   FunctionCall 1         SSLRequest  GSSENCRequest
//	CopyData "1\n"  CopyDone  CopyFail "why"
//	Startup 3.0 user=me      Raw 51 00 "text"

// words splits a phrase; strings keep their opening quote.
func words(line string) ([]string, error) {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			out, line = append(out, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		out, line = append(out, `"`+text), line[len(quoted):]
	}
	return out, nil
}

// encodePhrase makes the bytes of a message.
func encodePhrase(line string) ([]byte, error) {
	w, err := words(line)
	if err != nil {
		return nil, err
	}
	if len(w) == 0 {
		return nil, errors.New("an empty phrase")
	}
	text := func(i int) string {
		if i < len(w) {
			return strings.TrimPrefix(w[i], `"`)
		}
		return ""
	}
	var m pgproto3.FrontendMessage
	switch w[0] {
	case "Query":
		m = &pgproto3.Query{String: text(1)}
	case "Parse":
		m, err = parsePhrase(w)
	case "Bind":
		m, err = bindPhrase(w)
	case "Describe":
		m = &pgproto3.Describe{ObjectType: text(1)[0], Name: text(2)}
	case "Close":
		m = &pgproto3.Close{ObjectType: text(1)[0], Name: text(2)}
	case "Execute":
		n, _ := strconv.ParseInt(text(2), 10, 32)
		m = &pgproto3.Execute{Portal: text(1), MaxRows: uint32(int32(n))}
	case "Sync":
		m = &pgproto3.Sync{}
	case "Flush":
		m = &pgproto3.Flush{}
	case "Terminate":
		m = &pgproto3.Terminate{}
	case "FunctionCall":
		n, _ := strconv.Atoi(text(1))
		m = &pgproto3.FunctionCall{Function: uint32(n)}
	case "CopyData":
		m = &pgproto3.CopyData{Data: []byte(text(1))}
	case "CopyDone":
		m = &pgproto3.CopyDone{}
	case "CopyFail":
		m = &pgproto3.CopyFail{Message: text(1)}
	case "SSLRequest":
		m = &pgproto3.SSLRequest{}
	case "GSSENCRequest":
		m = &pgproto3.GSSEncRequest{}
	case "Startup":
		return startupPhrase(w)
	case "Raw":
		return rawPhrase(w)
	default:
		return nil, fmt.Errorf("no message is called %s", w[0])
	}
	if err != nil {
		return nil, err
	}
	return m.Encode(nil)
}

func parsePhrase(w []string) (*pgproto3.Parse, error) {
	m := &pgproto3.Parse{}
	for i, x := range w[1:] {
		s, quoted := strings.CutPrefix(x, `"`)
		switch {
		case quoted && i == 0:
			m.Name = s
		case quoted:
			m.Query = s
		default:
			oid, err := strconv.ParseUint(s, 10, 32)
			if err != nil {
				return nil, err
			}
			m.ParameterOIDs = append(m.ParameterOIDs, uint32(oid))
		}
	}
	return m, nil
}

func bindPhrase(w []string) (*pgproto3.Bind, error) {
	m := &pgproto3.Bind{}
	for i, x := range w[1:] {
		s, quoted := strings.CutPrefix(x, `"`)
		name, codes, _ := strings.Cut(s, "=")
		var err error
		switch {
		case quoted && i == 0:
			m.DestinationPortal = s
		case quoted && i == 1:
			m.PreparedStatement = s
		case quoted:
			m.Parameters = append(m.Parameters, []byte(s))
		case s == "NULL":
			m.Parameters = append(m.Parameters, nil)
		case name == "in":
			m.ParameterFormatCodes, err = formatCodes(codes)
		case name == "out":
			m.ResultFormatCodes, err = formatCodes(codes)
		default:
			err = fmt.Errorf("what is %s", x)
		}
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func formatCodes(list string) ([]int16, error) {
	var out []int16
	for x := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseInt(x, 10, 16)
		if err != nil {
			return nil, err
		}
		out = append(out, int16(n))
	}
	return out, nil
}

// startupPhrase: unlike pgproto3's, of any version, and in order.
func startupPhrase(w []string) ([]byte, error) {
	var major, minor uint32
	if _, err := fmt.Sscanf(w[1], "%d.%d", &major, &minor); err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 4), major<<16|minor)
	for _, p := range w[2:] {
		name, value, _ := strings.Cut(p, "=")
		b = append(append(append(append(b, name...), 0), value...), 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b, nil
}

// rawPhrase: bytes in hexadecimal and strings. A word such as 00*100 repeats.
func rawPhrase(w []string) ([]byte, error) {
	var out []byte
	for _, x := range w[1:] {
		if s, ok := strings.CutPrefix(x, `"`); ok {
			out = append(out, s...)
			continue
		}
		digits, times, _ := strings.Cut(x, "*")
		b, err := hex.DecodeString(digits)
		if err != nil {
			return nil, err
		}
		n := 1
		if times != "" {
			if n, err = strconv.Atoi(times); err != nil {
				return nil, err
			}
		}
		out = append(out, []byte(strings.Repeat(string(b), n))...)
	}
	return out, nil
}

// describeMessage prints a message of a server.
func describeMessage(kind byte, body []byte) string {
	text, err := backendText(kind, body)
	if err != nil {
		text = fmt.Sprintf("FAILED to decode %q %x: %v", kind, body, err)
	}
	return text + "\n"
}

// decoder is a message of package pgproto3.
type decoder interface {
	pgproto3.BackendMessage
	Decode(src []byte) error
}

// backendMessage is an empty message of a type that a server sends.
func backendMessage(kind byte) decoder {
	switch kind {
	case 'R':
		return &pgproto3.AuthenticationOk{}
	case 'K':
		return &pgproto3.BackendKeyData{}
	case 'S':
		return &pgproto3.ParameterStatus{}
	case 'v':
		return &pgproto3.NegotiateProtocolVersion{}
	case 'Z':
		return &pgproto3.ReadyForQuery{}
	case 'T':
		return &pgproto3.RowDescription{}
	case 'D':
		return &pgproto3.DataRow{}
	case 'C':
		return &pgproto3.CommandComplete{}
	case 'E':
		return &pgproto3.ErrorResponse{}
	case 'N':
		return &pgproto3.NoticeResponse{}
	case 'A':
		return &pgproto3.NotificationResponse{}
	case 't':
		return &pgproto3.ParameterDescription{}
	case 'G':
		return &pgproto3.CopyInResponse{}
	case 'H':
		return &pgproto3.CopyOutResponse{}
	case 'd':
		return &pgproto3.CopyData{}
	case 'c':
		return &pgproto3.CopyDone{}
	case 'I':
		return &pgproto3.EmptyQueryResponse{}
	case '1':
		return &pgproto3.ParseComplete{}
	case '2':
		return &pgproto3.BindComplete{}
	case '3':
		return &pgproto3.CloseComplete{}
	case 'n':
		return &pgproto3.NoData{}
	case 's':
		return &pgproto3.PortalSuspended{}
	default:
		return nil
	}
}

func backendText(kind byte, body []byte) (string, error) {
	m := backendMessage(kind)
	if m == nil {
		return "", errors.New("no server sends that")
	}
	if err := m.Decode(body); err != nil {
		return "", err
	}
	name := strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
	switch m := m.(type) {
	case *pgproto3.ParameterStatus:
		return fmt.Sprintf("%s %s=%q", name, m.Name, m.Value), nil
	case *pgproto3.NegotiateProtocolVersion:
		return fmt.Sprintf("%s %d.%d %v", name, m.NewestMinorProtocol>>16, m.NewestMinorProtocol&0xffff, m.UnrecognizedOptions), nil
	case *pgproto3.ReadyForQuery:
		return fmt.Sprintf("%s %c", name, m.TxStatus), nil
	case *pgproto3.CommandComplete:
		return fmt.Sprintf("%s %q", name, m.CommandTag), nil
	case *pgproto3.RowDescription:
		words := []string{name}
		for _, f := range m.Fields {
			words = append(words, fmt.Sprintf("%s:%d/%d/%d/%d", f.Name, f.DataTypeOID, f.DataTypeSize, f.TypeModifier, f.Format))
		}
		return strings.Join(words, " "), nil
	case *pgproto3.DataRow:
		words := []string{name}
		for _, v := range m.Values {
			if v == nil {
				words = append(words, "NULL")
			} else {
				words = append(words, strconv.Quote(string(v)))
			}
		}
		return strings.Join(words, " "), nil
	case *pgproto3.ErrorResponse:
		return name + noticeText((*pgproto3.NoticeResponse)(m)), nil
	case *pgproto3.NotificationResponse: // of some process
		return fmt.Sprintf("%s %s %q", name, m.Channel, m.Payload), nil
	case *pgproto3.NoticeResponse:
		return name + noticeText(m), nil
	case *pgproto3.ParameterDescription:
		return fmt.Sprintf("%s %v", name, m.ParameterOIDs), nil
	case *pgproto3.CopyInResponse:
		return fmt.Sprintf("%s %d %v", name, m.OverallFormat, m.ColumnFormatCodes), nil
	case *pgproto3.CopyOutResponse:
		return fmt.Sprintf("%s %d %v", name, m.OverallFormat, m.ColumnFormatCodes), nil
	case *pgproto3.CopyData:
		return fmt.Sprintf("%s %q", name, m.Data), nil
	}
	return name, nil
}

// noticeText is what a user sees of an error or a notice.
func noticeText(e *pgproto3.NoticeResponse) string {
	text := fmt.Sprintf(" %s %s %s", e.SeverityUnlocalized, e.Code, e.Message)
	if e.Severity != e.SeverityUnlocalized {
		text += " severity: " + e.Severity
	}
	if e.Detail != "" {
		text += "\n  detail: " + e.Detail
	}
	if e.Hint != "" {
		text += "\n  hint: " + e.Hint
	}
	return text
}
