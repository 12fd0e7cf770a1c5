package journals

import (
	"fmt"
	"strings"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol/journalspace"
)

// resolveStores puts URLs in the place of names of stores in a tree, which --stores explains. What brokers are told
// has no names: they are the operator's.
func (s *session) resolveStores(n *journalspace.Node) error {
	var entries []store.Entry
	stores := n.Spec.GetFragment().GetStores()
	for i, name := range stores {
		if strings.Contains(name, ":") {
			continue
		}
		if s.StoresFile == "" {
			return speech.WithHint(fmt.Errorf("store %q: it is a name, and no file says what it stands for", name),
				"give the file of stores with --stores, or write the store's URL")
		}
		var err error
		if entries == nil {
			if entries, err = store.ReadEntries(s.StoresFile); err != nil {
				return fmt.Errorf("--stores: %w", err)
			}
		}
		if stores[i], err = store.ResolveName(entries, name); err != nil {
			return err
		}
	}
	for _, child := range n.Children {
		if err := s.resolveStores(child); err != nil {
			return err
		}
	}
	return nil
}
