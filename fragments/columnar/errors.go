package columnar

// The SQLSTATE codes that this package's errors carry.
const (
	codeProtocolViolation  = "08P01"
	codeNotSupported       = "0A000"
	codeStringTruncation   = "22001"
	codeOutOfRange         = "22003"
	codeInvalidDatetime    = "22007"
	codeDatetimeOverflow   = "22008"
	codeZoneDisplacement   = "22009"
	codeIntervalOverflow   = "22015"
	codeNotInRepertoire    = "22021"
	codeInvalidParameter   = "22023"
	codeInvalidText        = "22P02"
	codeInvalidBinary      = "22P03"
	codeUntranslatable     = "22P05"
	codeNotNullViolation   = "23502"
	codeDatatypeMismatch   = "42804"
	codeUndefinedObject    = "42704"
	codeProgramLimit       = "54000"
	codeUndefinedColumnRef = "42703"
)

// InputError tells why a value can't be held by a column: what PostgreSQL would
// say of the same input, with its SQLSTATE.
type InputError struct {
	Code    string // SQLSTATE
	Message string
	Detail  string // may be empty
	Hint    string // may be empty
}

// Error is the message alone; Detail is for those who can show it apart.
func (e *InputError) Error() string { return e.Message }

// TypeError tells why a SQL type can't be the type of a column.
type TypeError struct {
	Code    string // SQLSTATE
	Name    string // the type as it was named
	Message string
	Hint    string // may be empty
}

// Error is the message alone; Hint is for those who can show it apart.
func (e *TypeError) Error() string { return e.Message }

// excerptLen bounds how much of an offending value an error quotes.
const excerptLen = 80

// excerpt is the beginning of s, whole characters of it, for use in an error.
func excerpt(s string) string {
	if len(s) <= excerptLen {
		return s
	}
	n := excerptLen
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "..."
}

func errSyntax(t Type, s string) error {
	return &InputError{Code: codeInvalidText, Message: "invalid input syntax for type " + t.inputName() + `: "` + excerpt(s) + `"`}
}

func errRange(t Type, s string) error {
	verb := `value "` + excerpt(s) + `"`
	if t.Kind == Float32 || t.Kind == Float64 {
		verb = `"` + excerpt(s) + `"`
	}
	return &InputError{Code: codeOutOfRange, Message: verb + " is out of range for type " + t.inputName()}
}
