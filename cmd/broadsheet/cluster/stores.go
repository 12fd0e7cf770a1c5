package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud"
	"broadsheet.dev/broadsheet/internal/speech"
)

// StoresFlag adds --stores to a command that reaches stores, or takes their names. (That of a listing shows them.)
func (f *Flags) StoresFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.StoresFile, "stores", "", "file that says which stores there are, as brokers have it: how they are reached, and what their names in specs stand for")
}

// Removal of fragments from their stores.
type Removal struct {
	stores *store.Registry
	dryRun bool
}

// OpenStores that --stores and --broker.file-root allow, to remove fragments from them, or only see that they are there.
func (f *Flags) OpenStores(dryRun bool) (*Removal, error) {
	drivers, err := cloud.Drivers(cloud.Config{})
	if err != nil {
		return nil, err
	}
	cfg := store.RegistryConfig{FileRoot: f.Brokers.FileRoot, Drivers: drivers}
	if f.StoresFile != "" {
		if cfg.Entries, err = store.ReadEntries(f.StoresFile); err != nil {
			return nil, fmt.Errorf("--stores: %w", err)
		}
	}
	stores, err := store.NewRegistry(cfg)
	if err != nil {
		return nil, fmt.Errorf("--broker.file-root: %w", err)
	}
	return &Removal{stores: stores, dryRun: dryRun}, nil
}

// Close the stores.
func (r *Removal) Close() error { return r.stores.Close() }

// Remove a fragment, or see that it could be. One that isn't there is an error that wraps store.ErrNotFound.
func (r *Removal) Remove(ctx context.Context, f fragments.Fragment) error {
	from, err := r.stores.Open(f.Store)
	if errors.Is(err, store.ErrNotAllowed) {
		return speech.WithHint(err, "say where file:/// stores are rooted with --broker.file-root, and how others are reached with --stores")
	}
	if err != nil {
		return err
	}
	if r.dryRun {
		_, err = from.Stat(ctx, f.ContentPath())
		return err
	}
	return from.Remove(ctx, f.ContentPath())
}
