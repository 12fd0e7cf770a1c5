package duck

import (
	"math/big"
	"strings"
)

// numberFormat is a template of numbers, taken apart.
type numberFormat struct {
	before, after string // 9, 0, ',' and G before and after the point
	point         bool
	fill          bool // FM
	sign          string
	signLast      bool
	text          []string // what stands before and after the number
}

// readNumberFormat takes a template apart.
func readNumberFormat(format string) (*numberFormat, error) {
	f := &numberFormat{text: []string{"", ""}}
	started := false
	for rest := format; rest != ""; {
		upper := strings.ToUpper(rest)
		switch {
		case strings.HasPrefix(upper, "FM"):
			f.fill, rest = true, rest[2:]
		case strings.HasPrefix(upper, "MI"), strings.HasPrefix(upper, "PR"), strings.HasPrefix(upper, "SG"), strings.HasPrefix(upper, "PL"):
			f.sign, f.signLast, rest = upper[:2], started, rest[2:]
		case upper[0] == 'S':
			f.sign, f.signLast, rest = "S", started, rest[1:]
		case upper[0] == '.' || upper[0] == 'D':
			f.point, started, rest = true, true, rest[1:]
		case strings.HasPrefix(rest, `"`):
			text, after, _ := strings.Cut(rest[1:], `"`)
			f.text[map[bool]int{true: 1}[started]] += text
			rest = after
		case strings.ContainsRune("90,G", rune(upper[0])):
			started = true
			c := strings.ReplaceAll(upper[:1], "G", ",")
			if f.point {
				f.after += c
			} else {
				f.before += c
			}
			rest = rest[1:]
		case strings.ContainsRune("VLER", rune(upper[0])), strings.HasPrefix(upper, "TH"):
			return nil, unsupported("to_char template %q is not supported", format)
		default:
			f.text[map[bool]int{true: 1}[started]] += rest[:1]
			rest = rest[1:]
		}
	}
	return f, nil
}

// numberToChar writes a number by a template. A number that is too large is shown as #.
func numberToChar(value, format string) (any, error) {
	f, err := readNumberFormat(format)
	if err != nil {
		return nil, err
	}
	number, ok := new(big.Rat).SetString(value)
	if !ok {
		return nil, unsupported("to_char of %s is not supported", value)
	}
	negative := number.Sign() < 0
	digits := new(big.Rat).Abs(number).FloatString(len(strings.ReplaceAll(f.after, ",", "")))
	whole, fraction, _ := strings.Cut(digits, ".")
	if whole == "0" {
		whole = ""
	}
	negative = negative && strings.Trim(whole+fraction, "0") != ""
	body := f.whole(whole)
	if f.point {
		body += "." + f.fraction(whole, fraction)
	}
	if len(whole) > strings.Count(f.before, "9")+strings.Count(f.before, "0") {
		body = strings.Map(func(c rune) rune {
			if c == '.' || c == ',' {
				return c
			}
			return '#'
		}, f.before)
		if f.point {
			body += "." + strings.Repeat("#", len(f.after))
		}
	}
	return f.text[0] + f.signed(body, negative) + f.text[1], nil
}

// whole puts the digits before the point into their places; those without one are blank, but for zeros that were asked for.
func (f *numberFormat) whole(digits string) string {
	places := len(f.before) - strings.Count(f.before, ",")
	digits = strings.Repeat(" ", max(places-len(digits), 0)) + digits
	digits = digits[len(digits)-places:]
	zeros, i := false, 0
	out := make([]byte, 0, len(f.before))
	for _, c := range []byte(f.before) {
		switch c {
		case ',':
			if len(out) > 0 && out[len(out)-1] != ' ' {
				out = append(out, ',')
			} else {
				out = append(out, ' ')
			}
			continue
		case '0':
			zeros = true
		}
		d := digits[i]
		if d == ' ' && zeros {
			d = '0'
		}
		out, i = append(out, d), i+1
	}
	text := string(out)
	if strings.TrimSpace(text) == "" && len(text) > 0 && !f.point {
		text = text[:len(text)-1] + "0"
	}
	return text
}

// fraction are the digits behind the point; with FM, zeros at the end that only 9 stands for are left out.
func (f *numberFormat) fraction(_, digits string) string {
	if !f.fill {
		return digits
	}
	keep := strings.LastIndex(f.after, "0") + 1
	for len(digits) > keep && strings.HasSuffix(digits, "0") {
		digits = digits[:len(digits)-1]
	}
	return digits
}

// signed puts the sign where the template wants it, and cuts blanks off if it says so.
func (f *numberFormat) signed(body string, negative bool) string {
	trimmed := strings.TrimLeft(body, " ")
	blanks := body[:len(body)-len(trimmed)]
	if f.fill {
		blanks = ""
	}
	mark := map[bool]string{true: "-", false: "+"}[negative]
	minus := map[bool]string{true: "-", false: " "}[negative]
	if f.fill {
		minus = strings.TrimSpace(minus)
	}
	switch f.sign {
	case "S", "SG":
		if f.signLast {
			return blanks + trimmed + mark
		}
		if f.sign == "SG" {
			return mark + blanks + trimmed
		}
		return blanks + mark + trimmed
	case "MI":
		if f.signLast {
			return blanks + trimmed + minus
		}
		return minus + blanks + trimmed
	case "PL":
		plus := map[bool]string{true: " ", false: "+"}[negative]
		return plus + blanks + minus + trimmed
	case "PR":
		if negative {
			return blanks + "<" + trimmed + ">"
		}
		if f.fill {
			return trimmed
		}
		return blanks + " " + trimmed + " "
	}
	return blanks + minus + trimmed
}
