package style

import "strings"

// kind of a piece of the text of a date or time.
type kind uint8

const (
	numberPiece kind = iota
	datePiece        // with separators
	timePiece        // with colons
	wordPiece
	offsetPiece  // with a sign
	specialPiece // a word with a sign
)

// piece of a text, in lower case.
type piece struct {
	kind kind
	text string
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 0x80 }

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// run is how many bytes at the beginning of a text fit.
func run(text string, fits func(c byte) bool) int {
	n := 0
	for n < len(text) && fits(text[n]) {
		n++
	}
	return n
}

// maxPieces is more than a date and time can have.
const maxPieces = 25

// pieces takes a text apart, as PostgreSQL's ParseDateTime does. It tells whether it can be.
func pieces(text string) ([]piece, bool) {
	rest := strings.ToLower(text)
	var out []piece
	for rest != "" {
		if len(out) == maxPieces {
			return nil, false
		}
		c := rest[0]
		var p piece
		var n int
		switch {
		case isBlank(c):
			rest = rest[1:]
			continue
		case isDigit(c):
			p.kind, n = digitsPiece(rest)
		case c == '.':
			n = 1 + run(rest[1:], isDigit)
		case isLetter(c):
			p.kind, n = lettersPiece(rest)
		case c == '+' || c == '-':
			after := strings.TrimLeft(rest[1:], " \t\n\v\f\r")
			switch {
			case after != "" && isDigit(after[0]):
				k := run(after, func(c byte) bool { return isDigit(c) || c == ':' || c == '.' || c == '-' })
				out, rest = append(out, piece{offsetPiece, string(c) + after[:k]}), after[k:]
				continue
			case after != "" && isLetter(after[0]):
				k := run(after, isLetter)
				out, rest = append(out, piece{specialPiece, string(c) + after[:k]}), after[k:]
				continue
			}
			return nil, false
		case strings.IndexByte("!\"#$%&'()*,/:;<=>?@[\\]^_`{|}~", c) >= 0: // other signs part pieces
			rest = rest[1:]
			continue
		default:
			return nil, false
		}
		p.text = rest[:n]
		out, rest = append(out, p), rest[n:]
	}
	return out, len(out) > 0
}

// digitsPiece is what begins with a digit, and its length.
func digitsPiece(text string) (kind, int) {
	n := run(text, isDigit)
	if n == len(text) {
		return numberPiece, n
	}
	switch delimiter := text[n]; delimiter {
	case ':':
		return timePiece, n + run(text[n:], func(c byte) bool { return isDigit(c) || c == ':' || c == '.' })
	case '-', '/', '.':
		n++
		if n < len(text) && isDigit(text[n]) {
			k := datePiece
			if delimiter == '.' {
				k = numberPiece
			}
			n += run(text[n:], isDigit)
			if n < len(text) && text[n] == delimiter {
				k = datePiece
				n += run(text[n:], func(c byte) bool { return isDigit(c) || c == delimiter })
			}
			return k, n
		}
		n += run(text[n:], func(c byte) bool { return isDigit(c) || isLetter(c) || c == delimiter })
		return datePiece, n
	}
	return numberPiece, n
}

// lettersPiece is what begins with a letter, and its length: a word, or a date or the name of a zone with signs in it.
func lettersPiece(text string) (kind, int) {
	n := run(text, isLetter)
	if n == len(text) {
		return wordPiece, n
	}
	switch c := text[n]; {
	case c == '-' || c == '/' || c == '.':
	case c == '+' || isDigit(c):
		if _, known := wordOf(text[:n]); known {
			return wordPiece, n
		}
	default:
		return wordPiece, n
	}
	n += run(text[n:], func(c byte) bool {
		return isDigit(c) || isLetter(c) || c == '+' || c == '-' || c == '/' || c == '_' || c == '.' || c == ':'
	})
	return datePiece, n
}

// meaning of a word in a date or time.
type meaning uint8

const (
	nothing meaning = iota
	month
	weekday
	half   // AM 0, PM 12
	era    // AD 0, BC 1
	ignore // at, on
	marker // t, before a time
	now
	today // with days from it
	epoch
	infinity // -1 or 1
	midnight
	zulu
)

type word struct {
	meaning meaning
	value   int
}

// wordOf is what a word says.
func wordOf(text string) (word, bool) {
	switch text {
	case "am":
		return word{half, 0}, true
	case "pm":
		return word{half, 12}, true
	case "ad":
		return word{era, 0}, true
	case "bc":
		return word{era, 1}, true
	case "at", "on":
		return word{meaning: ignore}, true
	case "t":
		return word{meaning: marker}, true
	case "now":
		return word{meaning: now}, true
	case "today":
		return word{meaning: today}, true
	case "tomorrow":
		return word{today, 1}, true
	case "yesterday":
		return word{today, -1}, true
	case "epoch":
		return word{meaning: epoch}, true
	case "infinity", "+infinity":
		return word{infinity, 1}, true
	case "-infinity":
		return word{infinity, -1}, true
	case "allballs":
		return word{meaning: midnight}, true
	case "z", "zulu":
		return word{meaning: zulu}, true
	case "sept":
		return word{month, 9}, true
	case "tues", "wed", "weds", "thur", "thurs":
		return word{meaning: weekday}, true
	}
	for i, name := range strings.Fields("january february march april may june july august september october november december") {
		if text == name || text == name[:3] {
			return word{month, i + 1}, true
		}
	}
	for name := range strings.FieldsSeq("sunday monday tuesday wednesday thursday friday saturday") {
		if text == name || text == name[:3] {
			return word{meaning: weekday}, true
		}
	}
	return word{}, false
}
