package pgcatalog

import (
	"cmp"
	"context"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// Letters of all privileges on a relation and on a schema, in PostgreSQL's order. Owners have them all: that a log isn't
// updated is no matter of privileges.
const (
	relationPrivileges = "arwdDxt"
	schemaPrivileges   = "UC"
)

// privilegeName is the word of a letter.
func privilegeName(letter byte) string {
	switch letter {
	case 'a':
		return "INSERT"
	case 'r':
		return "SELECT"
	case 'w':
		return "UPDATE"
	case 'd':
		return "DELETE"
	case 'D':
		return "TRUNCATE"
	case 'x':
		return "REFERENCES"
	case 't':
		return "TRIGGER"
	case 'U':
		return "USAGE"
	case 'C':
		return "CREATE"
	}
	return ""
}

// aclName is a role's name as an aclitem has it: in quotes if it isn't letters, digits and underscores.
func aclName(name string) string {
	plain := func(r rune) bool {
		return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	if strings.TrimFunc(name, plain) == "" {
		return name
	}
	return quoted(name)
}

// acl is the text of what was granted, as a list of aclitems; "" where nothing was, so that only the owner may.
func (s *snapshot) acl(owner int64, all string, grants []catalog.Grant) string {
	if len(grants) == 0 {
		return ""
	}
	name := s.roleName()
	by := "/" + aclName(name(owner))
	items := []string{listWord(aclName(name(owner)) + "=" + all + by)}
	for _, g := range grants {
		grantee := ""
		if g.Role != catalog.PublicID {
			grantee = aclName(name(g.Role))
		}
		items = append(items, listWord(grantee+"="+letters(g, all)+by))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// letters of a grant, in the order of all.
func letters(g catalog.Grant, all string) string {
	var out []byte
	for i := range len(all) {
		if strings.IndexByte(g.Privileges, all[i]) >= 0 {
			out = append(out, all[i])
		}
	}
	return string(out)
}

// grantsOn are those on a relation. Everybody may read the system's.
func (c *class) grantsOn() []catalog.Grant {
	if c.relation != nil {
		return []catalog.Grant{{Role: catalog.PublicID, Privileges: string(catalog.Select)}}
	}
	a, _ := c.access()
	return a.Grants
}

// grantsOn are those on a schema. Everybody may use the system's.
func (x schema) grantsOn() []catalog.Grant {
	if x.access == nil {
		return []catalog.Grant{{Role: catalog.PublicID, Privileges: string(catalog.Usage)}}
	}
	return x.access.Grants
}

// held are the privileges that owner and grantees of a thing hold: the owner all of them.
func held(owner int64, all string, grants []catalog.Grant) []catalog.Grant {
	return append([]catalog.Grant{{Role: owner, Privileges: all}}, grants...)
}

// told tells whether information_schema tells the session's user of what a grantee holds.
func (s *snapshot) told(is func(int64) bool, owner, grantee int64, public bool) bool {
	if grantee == catalog.PublicID {
		return public || is(owner)
	}
	return is(owner) || is(grantee)
}

// tablePrivilegeRows are what owners and those to whom they granted it may do, where one of the two is the session's user
// or, if public, everybody.
func tablePrivilegeRows(public bool) func(context.Context, *snapshot, *writer) error {
	return func(_ context.Context, s *snapshot, w *writer) error {
		return s.eachPrivilege(public, relationPrivileges, func(c *class, p privilege) error {
			s.putPrivilege(w, c, p)
			w.yesNo("with_hierarchy", p.name == "SELECT")
			return w.end()
		})
	}
}

// columnPrivilegeRows are those on tables, for each of their columns: there are no others.
func columnPrivilegeRows(public bool) func(context.Context, *snapshot, *writer) error {
	return func(_ context.Context, s *snapshot, w *writer) error {
		return s.eachPrivilege(public, "arwx", func(c *class, p privilege) error {
			for _, column := range s.columns(c) {
				s.putPrivilege(w, c, p)
				w.text("column_name", column.name)
				if err := w.end(); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// privilege that somebody holds.
type privilege struct{ grantor, grantee, name string }

func (s *snapshot) putPrivilege(w *writer, c *class, p privilege) {
	w.text("grantor", p.grantor)
	w.text("grantee", p.grantee)
	w.text("table_catalog", s.catalog.cfg.Database)
	w.text("table_schema", c.schema)
	w.text("table_name", c.name)
	w.text("privilege_type", p.name)
	w.yesNo("is_grantable", p.grantor == p.grantee)
}

// eachPrivilege calls f for each privilege, among some, on tables and views of which the session's user is told.
func (s *snapshot) eachPrivilege(public bool, among string, f func(*class, privilege) error) error {
	is, name := s.is(), s.roleName()
	all := s.all()
	for i := range all {
		c := &all[i]
		if c.kind() != "r" && c.kind() != "v" {
			continue
		}
		owner := c.owner()
		for _, g := range held(owner, relationPrivileges, c.grantsOn()) {
			if !s.told(is, owner, g.Role, public) {
				continue
			}
			p := privilege{grantor: name(owner), grantee: "PUBLIC"}
			if g.Role != catalog.PublicID {
				p.grantee = name(g.Role)
			}
			for _, letter := range []byte(letters(g, among)) {
				p.name = privilegeName(letter)
				if err := f(c, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// aclFunctions take lists of aclitems apart, and make those that hold where nothing was granted.
func aclFunctions() map[string]function {
	return map[string]function{
		"aclexplode": {min: 1, max: 1, answer: aclExplode},
		"acldefault": {min: 2, max: 2, answer: aclDefault},
	}
}

// An item's parts: who, what, by whom. What is letters, each perhaps with a * for the right to grant it on.
const aclItem = `'^("(?:[^"]|"")*"|[^=]*)=([a-zA-Z*]*)/(.*)$'`

// aclExplode gives a row for each privilege of each item.
func aclExplode(d *dialect, c parse.Call) (*parse.Template, error) {
	var names strings.Builder
	for _, p := range []byte(relationPrivileges + schemaPrivileges + "XcT") {
		word := cmp.Or(privilegeName(p), map[byte]string{'X': "EXECUTE", 'c': "CONNECT", 'T': "TEMPORARY"}[p])
		names.WriteString(" WHEN '" + string(p) + "' THEN '" + word + "'")
	}
	role := func(group string) string {
		return "coalesce((SELECT max(bs_oid) FROM {roles} WHERE bs_key = regexp_extract(bs_item, " + aclItem + ", " + group + ")), 0)"
	}
	rows := "SELECT " + role("3") + " AS grantor, " + role("1") + " AS grantee," +
		" CASE left(bs_letter, 1)" + names.String() + " END AS privilege_type, length(bs_letter) = 2 AS is_grantable" +
		" FROM (SELECT bs_item, unnest(regexp_extract_all(regexp_extract(bs_item, " + aclItem + ", 2), '[a-zA-Z][*]?')) AS bs_letter" +
		" FROM (SELECT unnest(CAST($1 AS VARCHAR[])) AS bs_item) AS bs_items) AS bs_letters"
	if c.InFrom {
		return d.template(rows)
	}
	return d.template("unnest((SELECT list(bs_privilege(grantor, grantee, privilege_type, is_grantable))" +
		" FROM (" + rows + ") AS bs_rows))")
}

// aclDefault is what holds on a thing of a kind where nothing was granted or taken away.
func aclDefault(d *dialect, c parse.Call) (*parse.Template, error) {
	if c.Args[0].Kind != parse.String {
		return nil, notConstant("function acldefault")
	}
	owner, public := "", ""
	switch c.Args[0].Text {
	case "c": // columns
	case "r":
		owner = relationPrivileges
	case "s":
		owner = "rwU"
	case "n":
		owner = schemaPrivileges
	case "d":
		owner, public = "CTc", "Tc"
	case "f":
		owner, public = "X", "X"
	case "T", "l":
		owner, public = "U", "U"
	case "t":
		owner = "C"
	default:
		return nil, &parse.Error{Code: "XX000", Message: "unrecognized objtype abbreviation: " + c.Args[0].Text}
	}
	items := "CAST(ARRAY[] AS VARCHAR[])"
	if owner != "" {
		items = "ARRAY[bs_name || '=" + owner + "/' || bs_name]"
	}
	if public != "" {
		items = "ARRAY['=" + public + "/' || bs_name, bs_name || '=" + owner + "/' || bs_name]"
	}
	return d.template("(SELECT " + items + " FROM (SELECT coalesce((SELECT max(bs_acl) FROM {roles} WHERE bs_key = CAST($2 AS VARCHAR)), CAST($2 AS VARCHAR)) AS bs_name) AS bs_named)")
}
