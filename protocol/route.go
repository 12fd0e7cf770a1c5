package protocol

import (
	"cmp"
	"net/url"
	"slices"
)

// CompareProcessIDs orders by zone, then by suffix.
func CompareProcessIDs(a, b *ProcessSpec_ID) int {
	return cmp.Or(cmp.Compare(a.GetZone(), b.GetZone()), cmp.Compare(a.GetSuffix(), b.GetSuffix()))
}

// IsZero reports whether the ID is absent or empty.
func (x *ProcessSpec_ID) IsZero() bool { return x.GetZone() == "" && x.GetSuffix() == "" }

// Validate that the zone has 1 to 32 bytes, the suffix 4 to 128, of the token
// alphabet.
func (x *ProcessSpec_ID) Validate() error {
	if err := tokenRunes.validate(x.GetZone(), minZone, maxZone); err != nil {
		return within("Zone", err)
	}
	if err := tokenRunes.validate(x.GetSuffix(), minSuffix, maxSuffix); err != nil {
		return within("Suffix", err)
	}
	return nil
}

// EmptyRoute is the route of a journal without members. Its primary is -1: the
// zero Route isn't valid.
func EmptyRoute() *Route { return &Route{Primary: -1} }

// RouteEquivalent reports whether two routes have the same members and primary;
// endpoints don't matter.
func RouteEquivalent(a, b *Route) bool {
	return a.GetPrimary() == b.GetPrimary() && slices.EqualFunc(a.GetMembers(), b.GetMembers(),
		func(a, b *ProcessSpec_ID) bool { return CompareProcessIDs(a, b) == 0 })
}

// IndexOf returns the index of a member of the route, or -1.
func (x *Route) IndexOf(id *ProcessSpec_ID) int {
	return slices.IndexFunc(x.GetMembers(), func(m *ProcessSpec_ID) bool { return CompareProcessIDs(m, id) == 0 })
}

// EndpointOf returns the endpoint URL of the member at an index, or "" if it
// isn't known.
func (x *Route) EndpointOf(index int) string {
	if index < 0 || index >= len(x.GetEndpoints()) {
		return ""
	}
	return x.GetEndpoints()[index]
}

// Validate that members ascend, that the primary is one of them or -1, and that
// there are no endpoints or one for each member.
func (x *Route) Validate() error {
	for i, m := range x.GetMembers() {
		if err := m.Validate(); err != nil {
			return withinIndex("Members", i, err)
		}
		if i != 0 && CompareProcessIDs(x.GetMembers()[i-1], m) >= 0 {
			return withinIndex("Members", i, invalid("isn't unique and in ascending order (%s/%s)", m.GetZone(), m.GetSuffix()))
		}
	}
	n := len(x.GetMembers())
	if p := int(x.GetPrimary()); p < -1 || p >= n {
		return invalidField("Primary", "invalid Primary (%d; expected -1 <= Primary < %d)", p, n)
	}
	if e := len(x.GetEndpoints()); e != 0 && e != n {
		return invalidField("Endpoints", "invalid length (%d; expected 0 or %d)", e, n)
	}
	for i, e := range x.GetEndpoints() {
		if e == "" {
			continue
		}
		if err := ValidateEndpoint(e); err != nil {
			return withinIndex("Endpoints", i, err)
		}
	}
	return nil
}

// ValidateEndpoint accepts an absolute URL with a host. That goes for unix sockets
// too: "unix://host/run/broker.sock".
func ValidateEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return invalid("isn't a URL (%q)", endpoint)
	case !u.IsAbs():
		return invalid("isn't an absolute URL (%q)", endpoint)
	case u.Host == "":
		return invalid("has no host (%q)", endpoint)
	}
	return nil
}

// Validate that the header names a process or none, a valid route, and the
// etcd state in full.
func (x *Header) Validate() error {
	if id := x.GetProcessId(); !id.IsZero() {
		if err := id.Validate(); err != nil {
			return within("ProcessId", err)
		}
	}
	if err := x.GetRoute().Validate(); err != nil {
		return within("Route", err)
	}
	return within("Etcd", x.GetEtcd().Validate())
}

// Validate that every field is set.
func (x *Header_Etcd) Validate() error {
	switch {
	case x.GetClusterId() == 0:
		return invalidField("ClusterId", "invalid ClusterId (expected != 0)")
	case x.GetMemberId() == 0:
		return invalidField("MemberId", "invalid MemberId (expected != 0)")
	case x.GetRevision() <= 0:
		return invalidField("Revision", "invalid Revision (%d; expected > 0)", x.GetRevision())
	case x.GetRaftTerm() == 0:
		return invalidField("RaftTerm", "invalid RaftTerm (expected != 0)")
	}
	return nil
}
