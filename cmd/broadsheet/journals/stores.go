package journals

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol/journalspace"
)

// storesFlag adds --stores to a command that reaches stores, or takes their names. (That of list shows them.)
func storesFlag(cmd *cobra.Command, s *shared) {
	cmd.Flags().StringVar(&s.storesFile, "stores", "", "file that says which stores there are, as brokers have it: how they are reached, and what their names in specs stand for")
}

// openStores makes the registry of the stores that --stores and --broker.file-root allow.
func (s *shared) openStores() (*store.Registry, error) {
	drivers, err := cloud.Drivers(cloud.Config{})
	if err != nil {
		return nil, err
	}
	cfg := store.RegistryConfig{FileRoot: s.fileRoot, Drivers: drivers}
	if s.storesFile != "" {
		if cfg.Entries, err = store.ReadEntries(s.storesFile); err != nil {
			return nil, fmt.Errorf("--stores: %w", err)
		}
	}
	stores, err := store.NewRegistry(cfg)
	if err != nil {
		return nil, fmt.Errorf("--broker.file-root: %w", err)
	}
	return stores, nil
}

// resolveStores puts URLs in the place of names of stores in a tree, which --stores explains. What brokers are told
// has no names: they are the operator's.
func (s *shared) resolveStores(n *journalspace.Node) error {
	var entries []store.Entry
	stores := n.Spec.GetFragment().GetStores()
	for i, name := range stores {
		if strings.Contains(name, ":") {
			continue
		}
		if s.storesFile == "" {
			return speech.WithHint(fmt.Errorf("store %q: it is a name, and no file says what it stands for", name),
				"give the file of stores with --stores, or write the store's URL")
		}
		var err error
		if entries == nil {
			if entries, err = store.ReadEntries(s.storesFile); err != nil {
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
