package pgcatalog

import "broadsheet.dev/broadsheet/catalog"

// Privileges by which information_schema tells somebody else than the owner of a thing.
const (
	onTables      = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
	onColumns     = "SELECT, INSERT, UPDATE, REFERENCES"
	onConstraints = "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
	onSchemas     = "CREATE, USAGE"
	onlyOwners    = ""
)

// informed is whom information_schema tells of things: the session's user.
type informed struct {
	of    *snapshot
	actor catalog.Actor
	all   bool // there are no privileges
}

func (s *snapshot) informed() informed {
	if s.state.Actor == nil {
		return informed{of: s, all: true}
	}
	a, _ := s.state.Actor("")
	return informed{of: s, actor: a}
}

// ofAccess tells whether they are told of a thing, which they own or may do one of some things with.
func (x informed) ofAccess(of catalog.Access, privileges string) bool {
	return x.all || x.actor.Role.Superuser || x.actor.Owns(of) || privileges != onlyOwners && mayAny(x.actor, of, privileges)
}

// ofClass tells whether they are told of a relation.
func (x informed) ofClass(c *class, privileges string) bool {
	if of, ok := c.access(); ok {
		return x.ofAccess(of, privileges)
	}
	return x.all || x.actor.Role.Superuser || privileges != onlyOwners && x.of.mayClass(x.actor, c, privileges)
}

// ofSchema tells whether they are told of a schema. Everybody may use the system's.
func (x informed) ofSchema(of schema) bool {
	return of.access == nil || x.ofAccess(*of.access, onSchemas)
}
