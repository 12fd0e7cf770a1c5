package auth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"broadsheet.dev/broadsheet/protocol"
)

// Claims of a token.
type Claims struct {
	// Capability is what the token allows.
	Capability Capability
	// Scope selects what it allows that for, by labels and by the meta-label "name".
	// Nil is everything. That of a verified token has no meta-label "prefix" any more.
	Scope *protocol.LabelSelector
	// Expiry is when the token ends, to the second.
	Expiry time.Time
	// IssuedAt is when it was made; zero if the token doesn't tell.
	IssuedAt time.Time
	// Issuer and Subject tell who made it and for whom; both may be empty.
	Issuer, Subject string
}

// ForJournal are claims of a capability for one journal, whose name may have a meta.
func ForJournal(c Capability, journal string, expiry time.Time) Claims {
	name, _ := protocol.SplitMeta(journal)
	return Claims{
		Capability: c,
		Scope: &protocol.LabelSelector{Include: &protocol.LabelSet{
			Labels: []*protocol.Label{{Name: protocol.MetaLabelName, Value: name}},
		}},
		Expiry: expiry,
	}
}

// InScope tells whether labels, the meta-label "name" among them, are in the scope.
func (c Claims) InScope(labels *protocol.LabelSet) bool { return c.Scope.Matches(labels) }

// Deadline is when a request that was let in at a time has to end: at the expiry, or
// for a token that is good by Leeway only, that much later.
func (c Claims) Deadline(at time.Time) time.Time {
	if c.Expiry.After(at) {
		return c.Expiry
	}
	return c.Expiry.Add(Leeway)
}

// Unscoped tells whether everything is in the scope.
func (c Claims) Unscoped() bool {
	return len(c.Scope.GetInclude().GetLabels()) == 0 && len(c.Scope.GetExclude().GetLabels()) == 0
}

// payload is the JSON of claims.
type payload struct {
	Capability Capability    `json:"cap"`
	Scope      selectorClaim `json:"sel"`
	jwt.RegisteredClaims
}

func newPayload(c Claims, now time.Time) (*payload, error) {
	if err := validateScope(c.Scope); err != nil {
		return nil, fmt.Errorf("scope: %w", err)
	}
	return &payload{
		Capability: c.Capability,
		Scope: selectorClaim{
			Include: setClaimOf(c.Scope.GetInclude()),
			Exclude: setClaimOf(c.Scope.GetExclude()),
		},
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: c.Issuer, Subject: c.Subject,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(c.Expiry),
		},
	}, nil
}

// claims of a payload that was verified.
func (p *payload) claims() (Claims, error) {
	scope := &protocol.LabelSelector{Include: p.Scope.Include.set(), Exclude: p.Scope.Exclude.set()}
	if err := validateScope(scope); err != nil {
		return Claims{}, fmt.Errorf("its scope (sel) isn't valid: %w", err)
	}
	c := Claims{
		Capability: p.Capability, Scope: scope.ResolveMeta(),
		Expiry: p.ExpiresAt.Time, Issuer: p.Issuer, Subject: p.Subject,
	}
	if p.IssuedAt != nil {
		c.IssuedAt = p.IssuedAt.Time
	}
	return c, nil
}

// validateScope demands of a scope what is demanded of the selector of a listing.
func validateScope(s *protocol.LabelSelector) error {
	return (&protocol.ListRequest{Selector: s}).Validate()
}

// selectorClaim, setClaim and labelClaim are the JSON of a LabelSelector. Their keys
// are the names of its fields.
type (
	selectorClaim struct {
		Include setClaim `json:"include"`
		Exclude setClaim `json:"exclude"`
	}
	setClaim struct {
		Labels []labelClaim `json:"labels,omitempty"`
	}
	labelClaim struct {
		Name   string `json:"name,omitempty"`
		Value  string `json:"value,omitempty"`
		Prefix bool   `json:"prefix,omitempty"`
	}
)

// UnmarshalJSON as of json. A key that isn't known might have narrowed the scope.
func (s *selectorClaim) UnmarshalJSON(text []byte) error {
	type plain selectorClaim // without this method
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode((*plain)(s)); err != nil {
		return fmt.Errorf("sel: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("sel: more than one value")
	}
	return nil
}

func setClaimOf(set *protocol.LabelSet) setClaim {
	var out setClaim
	for _, l := range set.GetLabels() {
		out.Labels = append(out.Labels, labelClaim{Name: l.GetName(), Value: l.GetValue(), Prefix: l.GetPrefix()})
	}
	return out
}

// set of the claim, ordered: who signed it may have had them in another order.
func (c setClaim) set() *protocol.LabelSet {
	set := new(protocol.LabelSet)
	for _, l := range c.Labels {
		set.Labels = append(set.Labels, &protocol.Label{Name: l.Name, Value: l.Value, Prefix: l.Prefix})
	}
	slices.SortStableFunc(set.GetLabels(), func(a, b *protocol.Label) int {
		return cmp.Or(cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetValue(), b.GetValue()))
	})
	return set
}
