package sqlgw

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// dropDeclared drops indexes, sequences or functions.
func (s *session) dropDeclared(ctx context.Context, w pgwire.ResultWriter, p *parse.Drop) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	drop, find := s.dropObjects, s.objectToDrop
	if p.Kind == "index" {
		drop, find = s.dropIndexes, s.indexToDrop
	}
	var found []declared
	for _, n := range p.Objects { // all are there, or none is dropped
		x, err := find(snap, p.Kind, n)
		if e, ok := errors.AsType[*pgwire.Error](err); ok && p.IfExists && isMissing(e) {
			s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: e.Message + ", skipping"})
			continue
		}
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(found, func(y declared) bool { return y.id() == x.id() }) { // DROP SEQUENCE s, s
			found = append(found, x)
		}
	}
	if err := drop(ctx, found); err != nil {
		return catalogError(err)
	}
	w.Complete("DROP " + strings.ToUpper(p.Kind))
	return nil
}

// isMissing tells whether an error says that something isn't there, and nothing else.
func isMissing(e *pgwire.Error) bool {
	return slices.Contains([]string{"42P01", "42704", "42883", "3F000"}, e.Code)
}

// declared is an index with its table, or another object.
type declared struct {
	table  catalog.Table
	index  catalog.Index
	object catalog.Object
}

func (x declared) id() int64 { return cmp.Or(x.index.ID, x.object.ID) }

// objectToDrop finds an object, if the session may drop it.
func (s *session) objectToDrop(snap *catalog.Snapshot, kind string, n parse.Name) (declared, error) {
	o, err := s.object(snap, catalog.ObjectKind(kind), n)
	if err == nil {
		_, err = s.ownSchema(snap, o.Schema)
	}
	return declared{object: o}, err
}

// indexToDrop finds an index, if the session may drop it, and no constraint needs it.
func (s *session) indexToDrop(snap *catalog.Snapshot, _ string, n parse.Name) (declared, error) {
	t, x, err := s.index(snap, n)
	if err == nil {
		err = s.mayDrop(snap, t)
	}
	if err != nil {
		return declared{}, err
	}
	for _, c := range t.Constraints {
		if c.Index == x.ID {
			return declared{}, sqlError("2BP01", "cannot drop index %s because constraint %s on table %s requires it", x.Name, x.Name, t.Name)
		}
	}
	return declared{table: t, index: x}, nil
}

func (s *session) dropObjects(ctx context.Context, list []declared) error {
	objects := make([]catalog.Object, len(list))
	for i, x := range list {
		objects[i] = x.object
	}
	return s.gateway.cfg.Catalog.DropObject(ctx, objects...)
}

// dropIndexes of tables, one after the other: nothing but a failure of etcd ends it between them.
func (s *session) dropIndexes(ctx context.Context, list []declared) error {
	for _, x := range list {
		if _, err := s.gateway.cfg.Catalog.ChangeTable(ctx, x.table, catalog.Change{DropIndex: x.index.ID}); err != nil {
			return err
		}
	}
	return nil
}
