package pgcatalog

import (
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// asked is who a privilege function asks for: the user that is named, or the session's. False is that
// everybody may do everything.
func (s *snapshot) asked(c parse.Call, args []parse.Literal) (catalog.Actor, bool) {
	if s.state.Actor == nil {
		return catalog.Actor{}, false
	}
	name := ""
	if len(c.Args) > len(args) && c.Args[0].Kind == parse.String {
		name = c.Args[0].Text
	}
	return s.state.Actor(name)
}

// refused are the things of a kind that an actor may not do something with, by all that they may be called in
// a privilege function: OIDs and names.
func (s *snapshot) refused(kind string, a catalog.Actor, privileges string) []string {
	var out []string
	switch kind {
	case "table", "any_column", "column":
		for _, c := range s.all() {
			if c.table != nil && !mayAny(a, c.table.Access, privileges) {
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
			if !a.Role.Superuser && !strings.Contains(privileges, "USAGE") {
				out = append(out, itoa(x.oid), x.name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
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
