package hba

import (
	"net/netip"
	"slices"
)

// Method is how a client proves who it is.
type Method string

// The methods.
const (
	Trust  Method = "trust"
	Reject Method = "reject"
	Scram  Method = "scram-sha-256"
	Cert   Method = "cert"
)

// Kind is the first field of a rule: which connections it is for.
type Kind string

// The kinds.
const (
	Local     Kind = "local" // a unix socket
	Host      Kind = "host"
	HostSSL   Kind = "hostssl"
	HostNoSSL Kind = "hostnossl"
)

// ClientCert is what a rule demands of the client's certificate, beside its method.
type ClientCert int

// What may be demanded.
const (
	NoCert   ClientCert = iota
	AnyCert             // verify-ca: one that is signed by an authority
	UserCert            // verify-full: whose common name is the user
)

// Rule is one line.
type Rule struct {
	Line       int
	Kind       Kind
	Databases  []Name
	Users      []Name
	Address    Address
	Method     Method
	ClientCert ClientCert
}

// Name is one of a list of databases or users: itself, or if it wasn't quoted a keyword, as
// all. Member is for "+role".
type Name struct {
	Text    string
	Keyword bool
	Member  bool
}

// Address is where clients of a rule come from: Keyword is all, samehost or samenet, or else
// there is a Prefix. It is zero for local.
type Address struct {
	Keyword string
	Prefix  netip.Prefix
}

// Rules in their order.
type Rules []Rule

// Peer is who connects.
type Peer struct {
	User, Database string
	// Address is invalid if the client came by a unix socket.
	Address netip.Addr
	TLS     bool
	// Ours are the networks of this host's interfaces, for samehost and samenet.
	Ours []netip.Prefix
}

// Match returns the first rule that fits. Member tells whether a user has a role, by itself
// or through others.
func (r Rules) Match(p Peer, member func(user, role string) bool) (Rule, bool) {
	p.Address = p.Address.Unmap()
	i := slices.IndexFunc(r, func(rule Rule) bool {
		return rule.fitsConnection(p) && rule.fitsDatabase(p, member) && rule.fitsUser(p, member)
	})
	if i < 0 {
		return Rule{}, false
	}
	return r[i], true
}

func (r Rule) fitsConnection(p Peer) bool {
	if r.Kind == Local || !p.Address.IsValid() {
		return r.Kind == Local && !p.Address.IsValid()
	}
	if r.Kind == HostSSL && !p.TLS || r.Kind == HostNoSSL && p.TLS {
		return false
	}
	switch r.Address.Keyword {
	case "all":
		return true
	case "samehost":
		return slices.ContainsFunc(p.Ours, func(n netip.Prefix) bool { return n.Addr().Unmap() == p.Address })
	case "samenet":
		return slices.ContainsFunc(p.Ours, func(n netip.Prefix) bool { return unmap(n).Contains(p.Address) })
	default:
		return r.Address.Prefix.Contains(p.Address)
	}
}

// unmap makes a network of IPv4 addresses written as IPv6 one of IPv4.
func unmap(n netip.Prefix) netip.Prefix {
	if n.Addr().Is4In6() && n.Bits() >= 96 {
		return netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	return n
}

func (r Rule) fitsDatabase(p Peer, member func(user, role string) bool) bool {
	return slices.ContainsFunc(r.Databases, func(n Name) bool {
		switch {
		case n.Keyword && n.Text == "all":
			return true
		case n.Keyword && n.Text == "sameuser":
			return p.Database == p.User
		case n.Keyword && n.Text == "samerole":
			return member(p.User, p.Database)
		default:
			return !n.Keyword && n.Text == p.Database
		}
	})
}

func (r Rule) fitsUser(p Peer, member func(user, role string) bool) bool {
	return slices.ContainsFunc(r.Users, func(n Name) bool {
		if n.Member {
			return member(p.User, n.Text)
		}
		return n.Keyword || n.Text == p.User // the keyword is all
	})
}

// NeedTLS is the line of the first rule that can't match without TLS; 0 if there is none.
func (r Rules) NeedTLS() int {
	return r.first(func(x Rule) bool { return x.Kind == HostSSL })
}

// NeedCA is the line of the first rule that can't be met without an authority of clients'
// certificates; 0 if there is none.
func (r Rules) NeedCA() int {
	return r.first(func(x Rule) bool { return x.Method == Cert || x.ClientCert != NoCert })
}

// NeedPasswords tells whether any rule asks for a password.
func (r Rules) NeedPasswords() bool {
	return r.first(func(x Rule) bool { return x.Method == Scram }) != 0
}

// NeedNetworks tells whether any rule asks for the networks of this host's interfaces.
func (r Rules) NeedNetworks() bool {
	return r.first(func(x Rule) bool { return x.Address.Keyword == "samehost" || x.Address.Keyword == "samenet" }) != 0
}

// Unproved is the line of the first rule that lets in clients of other hosts who prove nothing; 0 if
// there is none.
func (r Rules) Unproved() int {
	return r.first(func(x Rule) bool {
		here := x.Kind == Local || x.Address.Keyword == "samehost" || x.Address.Prefix.IsValid() && loopback(x.Address.Prefix)
		return x.Method == Trust && x.ClientCert == NoCert && !here
	})
}

// loopback tells whether a network is within this host's own.
func loopback(n netip.Prefix) bool {
	return n.Addr().IsLoopback() && (n.Addr().Is4() && n.Bits() >= 8 || n.Bits() == 128)
}

func (r Rules) first(is func(Rule) bool) int {
	if i := slices.IndexFunc(r, is); i >= 0 {
		return r[i].Line
	}
	return 0
}
