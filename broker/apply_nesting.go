package broker

import (
	"iter"
	"net/url"
	"path"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// territory is a folder of a store that belongs to a journal: whatever is in it, at
// any depth, is a fragment of that journal. It is a clean URL that ends in '/'.
type territory string

// territories of a journal, one for each of its stores.
func territories(spec *protocol.JournalSpec) []territory {
	var out []territory
	for _, store := range spec.GetFragment().GetStores() {
		u, err := url.Parse(store)
		if err != nil {
			continue // The spec was validated: there is no such store.
		}
		// A store may rewrite the begin of paths (gazette.md §1.3 S0).
		folder := spec.GetName() + "/"
		if find := u.Query().Get("find"); find != "" {
			folder = strings.Replace(folder, find, u.Query().Get("replace"), 1)
		}
		out = append(out, territory(u.Scheme+"://"+u.Host+path.Join(u.Path, folder)+"/"))
	}
	return out
}

// outer calls fn for the territory itself, and each folder that it is in.
func (t territory) outer(fn func(territory)) {
	root := strings.Index(string(t), "://") + len("://")
	for at := len(t) - 1; at >= root; {
		fn(t[:at+1])
		next := strings.LastIndexByte(string(t[:at]), '/')
		if next < root {
			return
		}
		at = next
	}
}

// checkNesting refuses changes after which a journal's folder in a store would be
// inside another's: each lists its folder with all that is below, and would serve
// the other's bytes as its own. There are the existing journals, of which those that
// are changed don't count any more.
func checkNesting(existing iter.Seq[*protocol.JournalSpec], changes []*protocol.ApplyRequest_Change, changed map[string]bool) error {
	owners := make(map[territory]string) // of the upserted journals
	inside := make(map[territory]string) // folders that an upserted journal's is in
	claim := func(spec *protocol.JournalSpec) error {
		for _, t := range territories(spec) {
			if other, ok := inside[t]; ok && other != spec.GetName() {
				return nestingError(spec.GetName(), other, t)
			}
			var err error
			t.outer(func(o territory) {
				if other, ok := owners[o]; ok && other != spec.GetName() && err == nil {
					err = nestingError(other, spec.GetName(), o)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, c := range changes {
		if c.GetUpsert() == nil {
			continue
		}
		if err := claim(c.GetUpsert()); err != nil {
			return err
		}
		for _, t := range territories(c.GetUpsert()) {
			owners[t] = c.GetUpsert().GetName()
			t.outer(func(o territory) { inside[o] = c.GetUpsert().GetName() })
		}
	}
	if len(owners) == 0 {
		return nil
	}
	for spec := range existing {
		if changed[spec.GetName()] {
			continue
		}
		if err := claim(spec); err != nil {
			return err
		}
	}
	return nil
}

func nestingError(outer, inner string, t territory) error {
	return status.Errorf(codes.FailedPrecondition,
		"journals %s and %s can't both keep fragments below %s: those of %s would be taken for fragments of %s",
		outer, inner, t, inner, outer)
}
