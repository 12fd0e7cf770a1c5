package main

import (
	"fmt"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/fragments/store"
)

// readStores reads the file of stores; nil without one. Below a root of file stores all of file:/// is allowed, unless
// the file says what is.
func readStores(file, root string) ([]store.Entry, error) {
	if file == "" {
		return nil, nil
	}
	entries, err := store.ReadEntries(file)
	if err != nil {
		return nil, fmt.Errorf("--stores: %w", err)
	}
	if root != "" && !slices.ContainsFunc(entries, func(e store.Entry) bool { return strings.HasPrefix(e.URL, "file:") }) {
		entries = append(entries, store.Entry{URL: "file:///"})
	}
	return entries, nil
}

// resolveDefaults are the URLs of the stores of tables that name none. Whether a URL may be used is the brokers' to say.
func resolveDefaults(names []string, entries []store.Entry) ([]string, error) {
	urls := make([]string, len(names))
	for i, name := range names {
		url, err := store.ResolveName(entries, name)
		if err != nil {
			return nil, withHint(fmt.Errorf("--default-stores: %w", err), "name one of the file of --stores, or write its URL")
		}
		urls[i] = url
	}
	return urls, nil
}
