package hba

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxText bounds the rules' text, in bytes.
const maxText = 1 << 20

// ParseError tells what is wrong with which line.
type ParseError struct {
	Line   int
	Reason string
}

func (e *ParseError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Parse reads rules. The error joins one for each line that is wrong. No rules at all are an error: nobody
// could connect.
func Parse(text string) (Rules, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the rules have %d bytes, at most %d are read", len(text), maxText)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, errors.New("the rules aren't UTF-8 without zeros")
	}
	var rules Rules
	var errs []error
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		at, line := i+1, lines[i]
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) { // goes on on the next line
			i++
			line = strings.TrimSuffix(line, `\`) + lines[i]
		}
		fields, err := split(line)
		if err == nil && len(fields) == 0 {
			continue
		}
		var r Rule
		if err == nil {
			r, err = parseRule(fields)
		}
		if err != nil {
			errs = append(errs, &ParseError{Line: at, Reason: err.Error()})
			continue
		}
		r.Line = at
		rules = append(rules, r)
	}
	if len(rules) == 0 && len(errs) == 0 {
		return nil, errors.New("there is no rule, so nobody could connect")
	}
	return rules, errors.Join(errs...)
}

// token of a field; one that is quoted is no keyword.
type token struct {
	text   string
	quoted bool
}

// field is a list of tokens.
type field []token

// split cuts a line into fields at spaces, and those into lists at commas; a list goes on after a comma
// and spaces. A # begins a comment, and quotes keep all of these.
func split(line string) ([]field, error) {
	var fields []field
	more := false // the last field's list goes on
	for {
		line = strings.TrimLeft(line, " \t\r\v\f")
		if line == "" || line[0] == '#' {
			if more {
				return nil, errors.New("a list ends in a comma")
			}
			return fields, nil
		}
		t, rest, err := scan(line)
		if err != nil {
			return nil, err
		}
		if more {
			fields[len(fields)-1] = append(fields[len(fields)-1], t)
		} else {
			fields = append(fields, field{t})
		}
		if line, more = strings.CutPrefix(rest, ","); !more {
			line = rest
		}
	}
}

// scan reads one token; in quotes a doubled quote is one.
func scan(line string) (token, string, error) {
	var t token
	var b strings.Builder
	inside := false
	i := 0
	for ; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '"' && inside && strings.HasPrefix(line[i+1:], `"`):
			b.WriteByte(c)
			i++
		case c == '"':
			inside = !inside
			t.quoted = t.quoted || b.Len() == 0
		case !inside && strings.IndexByte(" \t\r\v\f,#", c) >= 0:
			if b.Len() == 0 && !t.quoted {
				return t, "", errors.New("a list has an empty element")
			}
			t.text = b.String()
			return t, line[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if inside {
		return t, "", errors.New("a quote isn't closed")
	}
	t.text = b.String()
	return t, "", nil
}

func parseRule(fields []field) (Rule, error) {
	kind, err := single("type", fields, 0)
	if err != nil {
		return Rule{}, err
	}
	r := Rule{Kind: Kind(kind)}
	switch r.Kind {
	case Local, Host, HostSSL, HostNoSSL:
	case "hostgssenc", "hostnogssenc", "include", "include_if_exists", "include_dir":
		return Rule{}, fmt.Errorf("%q is not supported", kind)
	default:
		return Rule{}, fmt.Errorf("%q is no type: types are local, host, hostssl and hostnossl", kind)
	}
	if len(fields) < 3 {
		return Rule{}, errors.New("the database or the user is missing")
	}
	if r.Databases, err = names("database", fields[1], "all", "sameuser", "samerole"); err != nil {
		return Rule{}, err
	}
	if r.Users, err = names("user", fields[2], "all"); err != nil {
		return Rule{}, err
	}
	rest := fields[3:]
	if r.Kind != Local {
		if r.Address, rest, err = address(rest); err != nil {
			return Rule{}, err
		}
	}
	return r, r.method(rest)
}

// single is a field that has one token.
func single(what string, fields []field, i int) (string, error) {
	switch {
	case i >= len(fields):
		return "", fmt.Errorf("the %s is missing", what)
	case len(fields[i]) > 1:
		return "", fmt.Errorf("the %s is a list", what)
	}
	return fields[i][0].text, nil
}

func names(what string, f field, keywords ...string) ([]Name, error) {
	out := make([]Name, 0, len(f))
	for _, t := range f {
		n := Name{Text: t.text}
		if !t.quoted {
			switch role, isRole := strings.CutPrefix(t.text, "+"); {
			case slices.Contains(keywords, t.text):
				n.Keyword = true
			case isRole && what == "user" && role != "":
				n.Text, n.Member = role, true
			case strings.HasPrefix(t.text, "@"), strings.HasPrefix(t.text, "/"), isRole, t.text == "replication", t.text == "samegroup":
				return nil, fmt.Errorf("%s %q is not supported; in quotes it is a name", what, t.text)
			}
		}
		if n.Text == "" {
			return nil, fmt.Errorf("a %s has no name", what)
		}
		out = append(out, n)
	}
	return out, nil
}

// address reads a keyword, or a network as CIDR or as address and mask.
func address(fields []field) (Address, []field, error) {
	text, err := single("address", fields, 0)
	if err != nil {
		return Address{}, nil, err
	}
	if !fields[0][0].quoted && (text == "all" || text == "samehost" || text == "samenet") {
		return Address{Keyword: text}, fields[1:], nil
	}
	if strings.Contains(text, "/") {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return Address{}, nil, fmt.Errorf("address %q isn't a network: %w", text, err)
		}
		return Address{Prefix: unmap(n).Masked()}, fields[1:], nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return Address{}, nil, fmt.Errorf("address %q is neither a network nor all, samehost or samenet; names of hosts are not supported", text)
	}
	mask, err := single("mask of address "+text, fields, 1)
	if err != nil {
		return Address{}, nil, err
	}
	bits, err := maskBits(ip, mask)
	if err != nil {
		return Address{}, nil, err
	}
	return Address{Prefix: unmap(netip.PrefixFrom(ip.WithZone(""), bits)).Masked()}, fields[2:], nil
}

func maskBits(ip netip.Addr, text string) (int, error) {
	mask, err := netip.ParseAddr(text)
	if err != nil || mask.Is4() != ip.Is4() {
		return 0, fmt.Errorf("%q isn't a mask of address %s", text, ip)
	}
	bits, ended := 0, false
	for _, b := range mask.AsSlice() {
		for i := 7; i >= 0; i-- {
			one := b>>i&1 == 1
			if one && ended {
				return 0, fmt.Errorf("mask %q has a hole", text)
			}
			if ended = !one; one {
				bits++
			}
		}
	}
	return bits, nil
}

// method reads how a client proves who it is, and options.
func (r *Rule) method(fields []field) error {
	text, err := single("method", fields, 0)
	if err != nil {
		return err
	}
	switch r.Method = Method(text); r.Method {
	case Trust, Reject, Scram:
	case Cert:
		if r.Kind != HostSSL {
			return errors.New(`method "cert" is of hostssl only`)
		}
		r.ClientCert = UserCert
	case "md5", "password":
		return fmt.Errorf("method %q is not supported: use scram-sha-256", text)
	case "peer", "ident", "gss", "sspi", "ldap", "pam", "radius", "bsd", "oauth":
		return fmt.Errorf("method %q is not supported", text)
	default:
		return fmt.Errorf("%q is no method: methods are trust, reject, scram-sha-256 and cert", text)
	}
	for i := range fields[1:] {
		option, err := single("option", fields, i+1)
		if err != nil {
			return err
		}
		if err := r.option(option); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rule) option(text string) error {
	name, value, _ := strings.Cut(text, "=")
	if name != "clientcert" {
		return fmt.Errorf("option %q is not supported: there is clientcert", name)
	}
	if r.Kind != HostSSL {
		return errors.New(`option "clientcert" is of hostssl only`)
	}
	switch {
	case value == "verify-full":
		r.ClientCert = UserCert
	case value == "verify-ca" && r.Method == Cert:
		return errors.New(`method "cert" is always clientcert=verify-full`)
	case value == "verify-ca":
		r.ClientCert = AnyCert
	default:
		return fmt.Errorf("clientcert is %q: it may be verify-ca or verify-full", value)
	}
	return nil
}
