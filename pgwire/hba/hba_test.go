package hba

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestScenarios: files of two commands. Rules reads them, and prints them as they were understood
// or what is wrong. Match prints which rule decides on a peer: its user, its database, from=address or
// nothing for a unix socket, tls, and roles=(...) that the user has.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var rules Rules
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "rules":
				var err error
				if rules, err = Parse(d.Input); err != nil {
					return err.Error()
				}
				var out strings.Builder
				for _, r := range rules {
					fmt.Fprintf(&out, "%d: %s %s %s %s %s%s\n", r.Line, r.Kind, show(r.Databases), show(r.Users), showAddress(r.Address), r.Method, []string{"", " verify-ca", " verify-full"}[r.ClientCert])
				}
				fmt.Fprintf(&out, "TLS: %d, CA: %d, passwords: %v\n", rules.NeedTLS(), rules.NeedCA(), rules.NeedPasswords())
				return out.String()
			case "match":
				return match(t, d, rules)
			default:
				t.Fatalf("%s: no command is called %s", d.Pos, d.Cmd)
				return ""
			}
		})
	})
}

func match(t *testing.T, d *datadriven.TestData, rules Rules) string {
	p := Peer{Ours: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("fe80::1/64")}}
	var roles []string
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "user":
			p.User = a.Vals[0]
		case "database":
			p.Database = a.Vals[0]
		case "from":
			p.Address = netip.MustParseAddr(a.Vals[0])
		case "tls":
			p.TLS = true
		case "roles":
			roles = a.Vals
		}
	}
	r, ok := rules.Match(p, func(user, role string) bool {
		return user == role || slices.Contains(roles, role)
	})
	if !ok {
		return "none\n"
	}
	return fmt.Sprintf("%d: %s\n", r.Line, r.Method)
}

func show(names []Name) string {
	var out []string
	for _, n := range names {
		switch {
		case n.Keyword:
			out = append(out, "<"+n.Text+">")
		case n.Member:
			out = append(out, "members of "+n.Text)
		default:
			out = append(out, fmt.Sprintf("%q", n.Text))
		}
	}
	return "[" + strings.Join(out, " ") + "]"
}

func showAddress(a Address) string {
	if a.Keyword != "" {
		return "<" + a.Keyword + ">"
	}
	if a.Prefix.IsValid() {
		return a.Prefix.String()
	}
	return "-"
}

// TestErrors can be looked at by line.
func TestErrors(t *testing.T) {
	_, err := Parse("host all all all trust\nhost all all\n")
	e, ok := errors.AsType[*ParseError](err)
	require.True(t, ok)
	require.Equal(t, 2, e.Line)
	_, err = Parse(strings.Repeat("#", maxText+1))
	require.ErrorContains(t, err, "at most 1048576 are read")
	_, err = Parse("\x00")
	require.ErrorContains(t, err, "UTF-8")
}

// TestUnproved finds rules that believe clients of other hosts.
func TestUnproved(t *testing.T) {
	for text, want := range map[string]int{
		"local all all trust\nhost all all samehost trust\nhost all all 127.0.0.0/8 trust\nhost all all ::1/128 trust\nhost all all all scram-sha-256": 0,
		"hostssl all all all trust clientcert=verify-ca": 0, "host all all all trust": 1, "\nhost all all samenet trust": 2,
		"host all all 127.0.0.0/7 trust": 1, "host all all ::1/127 trust": 1, "host all all 10.0.0.1/32 trust": 1, "host all all all reject": 0,
	} {
		rules, err := Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, rules.Unproved(), text)
	}
}

// FuzzParse: no text does harm; rules that are read name no empty names, and match what they may.
func FuzzParse(f *testing.F) {
	f.Add("host all +a,\"b c\" 10.0.0.0/8 scram-sha-256 # x\nlocal \"all\" a trust\\\n\n")
	f.Add("hostssl sameuser,samerole all ::1 ffff:: cert clientcert=verify-full\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Parse(text)
		if err != nil {
			return
		}
		require.NotEmpty(t, rules)
		for _, r := range rules {
			require.NotEmpty(t, r.Method)
			require.Equal(t, r.Kind == Local, r.Address == Address{})
			for _, n := range append(r.Users, r.Databases...) {
				require.NotEmpty(t, n.Text)
			}
		}
		for _, tls := range []bool{false, true} {
			r, ok := rules.Match(Peer{User: "u", Database: "d", Address: netip.MustParseAddr("192.0.2.1"), TLS: tls}, func(string, string) bool { return false })
			if ok {
				require.NotEqual(t, Local, r.Kind)
				require.False(t, r.Kind == HostSSL && !tls || r.Kind == HostNoSSL && tls)
			}
		}
	})
}
