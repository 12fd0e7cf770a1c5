package pgcatalog

import (
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// asked is who a privilege function asks for: the user that is named, or the session's. False is that
// everybody may do everything. A number that is no role's is somebody who has what everybody has.
func (s *snapshot) asked(c parse.Call, args []parse.Literal) (catalog.Actor, bool, error) {
	user := parse.Literal{Kind: parse.Expression, Text: parse.CurrentUser}
	if len(c.Args) > len(args) {
		user = c.Args[0]
	}
	id := int64(0)
	var err error
	switch {
	case user.Text == parse.CurrentUser && user.Kind == parse.Expression:
		if s.state.Actor == nil {
			return catalog.Actor{}, false, nil
		}
		a, ok := s.state.Actor("")
		return a, ok, nil
	case user.Kind == parse.String && user.Text == "public":
		return catalog.Actor{}, s.state.Actor != nil, nil
	case user.Kind == parse.String:
		if id = s.roleID(user.Text); id == 0 {
			id, err = s.namedRole(user.Text)
		}
	case user.Kind == parse.Number:
		id, err = strconv.ParseInt(user.Text, 10, 64)
	case s.state.Actor != nil && user.Kind != parse.Null:
		err = notKnown(c, "a user", "Write the role's name or its OID as a constant, or current_user.")
	}
	if err != nil || s.state.Actor == nil {
		return catalog.Actor{}, false, err
	}
	for _, r := range s.roles() {
		if r.ID == id {
			if a, ok := s.state.Actor(r.Name); ok {
				return a, true, nil
			}
		}
	}
	return catalog.Actor{}, true, nil
}

// notKnown refuses an argument whose value isn't known before the statement runs.
func notKnown(c parse.Call, what, hint string) error {
	return &parse.Error{Code: parse.CodeNotSupported, Message: "function " + c.Name + " of " + what + " that isn't a constant is not supported", Hint: hint}
}

// refused are the things of a kind that an actor may not do something with, by all that they may be called in
// a privilege function: OIDs and names.
func (s *snapshot) refused(kind string, a catalog.Actor, privileges string) []string {
	var out []string
	switch kind {
	case "table", "any_column", "column", "sequence":
		for _, c := range s.all() {
			if !s.mayClass(a, &c, privileges) {
				q := s.catalog.quoteIdent
				out = append(out, itoa(c.oid), c.schema+"."+c.name, q(c.schema)+"."+q(c.name), `"`+c.schema+`"."`+c.name+`"`)
				if s.class("", c.name) != nil && s.class("", c.name).oid == c.oid {
					out = append(out, c.name, q(c.name), `"`+c.name+`"`)
				}
			}
		}
	case "schema":
		for _, x := range s.state.Tables.Schemas() {
			if !mayAny(a, x.Access, privileges) {
				out = append(out, itoa(x.ID), x.Name, s.catalog.quoteIdent(x.Name))
			}
		}
		for _, x := range s.catalog.schemas { // everybody may use them, and nobody else make anything there
			if !a.Role.Superuser && !hasAny(privileges, "USAGE") {
				out = append(out, itoa(x.oid), x.name)
			}
		}
	case "database": // everybody may connect, and nobody else make schemas
		if !a.Role.Superuser && !hasAny(privileges, "CONNECT", "TEMPORARY", "TEMP") {
			out = append(out, itoa(oidDatabase), s.catalog.cfg.Database)
		}
	case "tablespace":
		if !a.Role.Superuser {
			out = append(out, itoa(oidDefaultTablespace), "pg_default", itoa(oidGlobalTablespace), "pg_global")
		}
	case "role":
		for _, r := range s.roles() {
			if !a.Is(r.ID) {
				out = append(out, itoa(r.ID), r.Name)
			}
		}
	case "type":
		if !a.Role.Superuser && !hasAny(privileges, "USAGE") {
			for _, x := range s.types() {
				out = append(out, itoa(x.oid), x.name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mayClass tells whether an actor has one of some privileges on a relation. The system's own may be read by everybody.
func (s *snapshot) mayClass(a catalog.Actor, c *class, privileges string) bool {
	switch {
	case c.table != nil:
		return mayAny(a, c.table.Access, privileges)
	case c.view != nil:
		return mayAny(a, c.view.View.Access(), privileges)
	case c.relation != nil:
		return a.Role.Superuser || hasAny(privileges, "SELECT")
	default:
		return a.Owns(catalog.Access{Owner: c.owner()})
	}
}

// hasAny tells whether one of some privileges, whose names are separated by commas, is among those.
func hasAny(privileges string, among ...string) bool {
	for p := range strings.SplitSeq(privileges, ",") {
		if slices.Contains(among, strings.ToUpper(strings.TrimSpace(p))) {
			return true
		}
	}
	return false
}

// mayAny tells whether an actor has one of some privileges, whose names are separated by commas. Those that can't
// be granted are the owner's.
func mayAny(a catalog.Actor, x catalog.Access, privileges string) bool {
	letters := map[string]catalog.Privilege{"SELECT": catalog.Select, "INSERT": catalog.Insert, "USAGE": catalog.Usage, "CREATE": catalog.Create}
	for p := range strings.SplitSeq(privileges, ",") {
		letter, can := letters[strings.ToUpper(strings.TrimSpace(p))]
		if can && a.May(x, letter) || !can && a.Owns(x) {
			return true
		}
	}
	return false
}
