package sqlgw

import (
	"context"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
)

// Who a session is: it begins as its user, which is what SHOW session_authorization says; SET SESSION AUTHORIZATION makes it another
// for as long as a superuser began it, and SET ROLE lets it act as a role that it is a member of. Both are settings, so that transactions
// and savepoints keep them or give them back. What statements may do follows the role.

const (
	settingRole      = "role"
	settingAuthority = "session_authorization"
	settingSuperuser = "is_superuser"
	noRole           = "none"
)

// isIdentity tells whether a setting says who the session is. RESET ALL leaves these.
func isIdentity(name string) bool {
	return name == settingRole || name == settingAuthority || name == settingSuperuser
}

// become changes one of the two settings; nil is the first value.
func (s *session) become(ctx context.Context, e *setting, value *string, local bool) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	s.remember()
	if e.name == settingAuthority {
		return s.becomeUser(snap, e, value, local)
	}
	to := s.sessionActor(snap).Role
	if value == nil || strings.EqualFold(*value, noRole) {
		name := noRole
		value = &name
	} else {
		r, ok := snap.Role(*value)
		if !ok {
			return sqlError("22023", "role %q does not exist", *value)
		}
		if a := s.sessionActor(snap); !a.Role.Superuser && !a.Is(r.ID) {
			return sqlError("42501", "permission denied to set role %q", *value)
		}
		to = r
	}
	return s.settings.putIdentity(*value, "", to, local)
}

// becomeUser is SET SESSION AUTHORIZATION.
func (s *session) becomeUser(snap *catalog.Snapshot, e *setting, value *string, local bool) error {
	began := s.loginActor(snap).Role
	if value == nil || *value == e.initial {
		return s.settings.putIdentity(noRole, e.initial, began, local)
	}
	r, ok := snap.Role(*value)
	switch {
	case !ok:
		return sqlError("22023", "role %q does not exist", *value)
	case !began.Superuser && r.ID != began.ID:
		return sqlError("42501", "permission denied to set session authorization")
	}
	return s.settings.putIdentity(noRole, r.Name, r, local)
}

// putIdentity notes who the session is now; user is "" if that stays.
func (s *settings) putIdentity(role, user string, is catalog.Role, local bool) error {
	super := "off"
	if is.Superuser {
		super = "on"
	}
	for _, x := range []struct{ name, value string }{{settingAuthority, user}, {settingRole, role}, {settingSuperuser, super}} {
		if x.value == "" {
			continue
		}
		e, err := s.find(x.name)
		if err != nil {
			return err
		}
		if err := s.put(e, x.value, local); err != nil {
			return err
		}
	}
	return nil
}

// identity is who the settings say that the session is: "" is that they don't.
type identity struct{ user, role string }

// noteIdentity notes it for those who ask while settings change.
func (s *settings) noteIdentity() {
	var is identity
	is.user, _ = s.said(settingAuthority)
	if role, ok := s.said(settingRole); ok && role != noRole {
		is.role = role
	}
	if now := s.identity.Load(); now == nil || *now != is {
		s.identity.Store(&is)
	}
}

// who is the identity now. It may be called by the engine's threads.
func (s *settings) who() identity {
	if is := s.identity.Load(); is != nil {
		return *is
	}
	return identity{}
}

// loginActor is who began the session, as a snapshot knows it. On a server that trusts, whoever
// isn't a role is the superuser: also one whose role was dropped meanwhile, which on other servers may do nothing.
func (s *session) loginActor(snap *catalog.Snapshot) catalog.Actor {
	a, ok := snap.Actor(s.user)
	if !ok && s.trusted {
		a, _ = snap.Actor(catalog.Superuser)
	}
	return a
}

// sessionActor is the session's user. One that was dropped meanwhile may do nothing.
func (s *session) sessionActor(snap *catalog.Snapshot) catalog.Actor {
	is := s.settings.who()
	if e, err := s.settings.find(settingAuthority); is.user == "" || err != nil || is.user == e.initial {
		return s.loginActor(snap)
	}
	a, _ := snap.Actor(is.user)
	return a
}

// actor is as whom the session's statements run.
func (s *session) actor(snap *catalog.Snapshot) catalog.Actor {
	if role := s.settings.who().role; role != "" {
		a, _ := snap.Actor(role)
		return a
	}
	return s.sessionActor(snap)
}
