package sqlgw

import (
	"context"
	"errors"
	"fmt"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/pgwire/scram"
)

// Users are the catalog's roles, as pgwire asks for them.
type Users struct{ Catalog *catalog.Catalog }

// Verifier of a user's password; zero if it may not log in, or has none. What is read of etcd is the same for
// everybody; only who has a password has one parsed.
func (u Users) Verifier(ctx context.Context, user string, _ pgwire.Peer) (scram.Verifier, error) {
	snap, err := u.Catalog.Snapshot(ctx)
	if err != nil {
		return scram.Verifier{}, err
	}
	r, ok := snap.Role(user)
	if !ok || !r.Login || r.Password == "" {
		return scram.Verifier{}, nil
	}
	v, err := scram.Parse(r.Password)
	if err != nil {
		return v, fmt.Errorf("password of role %q: %w", user, err)
	}
	return v, nil
}

// Roles tells of which roles a user is a member, or which it is. A role that doesn't exist has no members.
func (u Users) Roles(ctx context.Context, user string) (func(role string) bool, error) {
	snap, err := u.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	a, ok := snap.Actor(user)
	return func(role string) bool {
		r, exists := snap.Role(role)
		return ok && exists && a.Is(r.ID)
	}, nil
}

// SetFirstPassword gives the role postgres a password, or the verifier of one, unless it has one: the password is asked
// for only then.
func (u Users) SetFirstPassword(ctx context.Context, password func() (string, error)) (bool, error) {
	set := false
	err := u.Catalog.AlterRole(ctx, catalog.Role{ID: catalog.SuperuserID, Name: catalog.Superuser}, func(r *catalog.Role) error {
		if set = r.Password == ""; !set {
			return errHasPassword
		}
		text, err := password()
		if err != nil {
			return err
		}
		if r.Password, err = verifierOf(text); err != nil {
			return fmt.Errorf("the first password of role %q: %w", r.Name, err)
		}
		return nil
	})
	if errors.Is(err, errHasPassword) {
		err = nil
	}
	return set && err == nil, err
}

var errHasPassword = errors.New("there is a password")

// verifierOf is what is kept of a password. Like PostgreSQL it takes a verifier, too.
func verifierOf(password string) (string, error) {
	if scram.IsVerifier(password) {
		v, err := scram.Parse(password)
		if err != nil {
			return "", err
		}
		return v.String(), nil
	}
	v, err := scram.New(password)
	return v.String(), err
}

// admit tells whether a user may begin a session, and tells the session's settings who it is. Where nobody has to
// prove that, everybody may: as the superuser, unless the user is a role.
func (g *Gateway) admit(ctx context.Context, s pgwire.Startup, to *settings) error {
	snap, err := g.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	r, ok := snap.Role(s.User)
	trusted := s.Peer.Method == ""
	switch {
	case !ok && trusted:
		return nil
	case !ok:
		return sqlError("28000", "role %q does not exist", s.User)
	case !r.Login && !trusted:
		return sqlError("28000", "role %q is not permitted to log in", s.User)
	}
	to.identify(r)
	return nil
}

// identify tells clients which role a session has.
func (s *settings) identify(r catalog.Role) {
	for i := range s.table {
		switch s.table[i].name {
		case "session_authorization":
			s.table[i].initial = r.Name
		case "is_superuser":
			if s.table[i].initial = "off"; r.Superuser {
				s.table[i].initial = "on"
			}
		}
	}
}
