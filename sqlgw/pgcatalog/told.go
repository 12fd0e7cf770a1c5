package pgcatalog

import "maps"

// Type is what clients are told of a type.
type Type struct {
	OID  uint32
	Size int16 // pg_type.typlen
	// Named: its values are OIDs that print as names.
	Named bool
}

// Type finds a type by pg_type's name for it.
func (c *Catalog) Type(name string) (Type, bool) {
	t := c.types.byName[name]
	if t == nil {
		return Type{}, false
	}
	_, named := c.regs[name]
	return Type{OID: uint32(t.oid), Size: int16(t.length), Named: named}, true
}

// Names leads the values of types like regclass to their names and back, as one statement sees
// them. It is for one goroutine.
type Names struct {
	seen   *snapshot
	byType map[string]map[int64]string
}

// Names are those that a statement sees.
func (c *Catalog) Names(s State) *Names {
	return &Names{seen: &snapshot{catalog: c, state: s}, byType: map[string]map[int64]string{}}
}

// Name is what a value of a type prints as: "-" for 0, and digits for what nothing has.
func (n *Names) Name(typ string, oid int64) string {
	if oid == 0 {
		return "-"
	}
	if n.byType[typ] == nil {
		n.byType[typ] = n.all(typ)
	}
	if name, ok := n.byType[typ][oid]; ok {
		return name
	}
	return itoa(oid)
}

// OID is the value of a type that has a printed name; 0 if there is none.
func (n *Names) OID(typ, name string) uint32 {
	r, ok := n.seen.catalog.regs[typ]
	if !ok {
		return 0
	}
	oid, err := r.find(n.seen, name)
	if err != nil {
		return 0
	}
	return uint32(oid)
}

// Find is the value of a type that a name or number stands for.
func (n *Names) Find(typ, name string) (int64, error) {
	r, ok := n.seen.catalog.regs[typ]
	if !ok {
		return 0, nil
	}
	return r.find(n.seen, name)
}

// all are the names of a type's values.
func (n *Names) all(typ string) map[int64]string {
	names, s := map[int64]string{}, n.seen
	switch typ {
	case "regclass":
		all := s.all()
		for i := range all {
			names[all[i].oid] = s.printed(&all[i])
		}
	case "regtype":
		for _, t := range s.types() {
			p := t.parts()
			names[t.oid] = p.name + p.rest
		}
	case "regproc":
		maps.Copy(names, s.catalog.procNames)
		for _, f := range s.functions() {
			names[f.ID] = s.catalog.quoteIdent(f.Name)
		}
	case "regprocedure", "regoper", "regoperator":
		s.signatures(typ, names)
	case "regnamespace":
		for _, x := range s.schemas() {
			names[x.oid] = s.catalog.quoteIdent(x.name)
		}
	case "regrole":
		for _, r := range s.roles() {
			names[r.ID] = s.catalog.quoteIdent(r.Name)
		}
	}
	return names
}
