package store

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Entry allows the stores whose URLs begin with a prefix, and says how they are
// reached. Secrets are in files that it names; where it names none, they come from
// where the programs of the store's provider look for them. See docs/stores.md.
type Entry struct {
	// Name that specs and SQL may write in place of the URL. Lower-case letters, digits,
	// "-" and "_"; may be empty.
	Name string `yaml:"name"`
	// URL that the URLs of its stores begin with. It ends in a slash, and has no arguments.
	URL string `yaml:"url"`
	// Endpoint is the base URL of the service, where it isn't its provider's own. It is
	// also the only "endpoint" that a URL may give as an argument.
	Endpoint string `yaml:"endpoint"`
	// Addresses that may be dialled though they are private, on this machine, or
	// link-local; and those to which plain http is spoken.
	Addresses []netip.Prefix `yaml:"addresses"`
	// Region of s3 buckets, where the URL gives none.
	Region string `yaml:"region"`
	// Profile of the AWS configuration that s3 credentials are taken from. It is also the
	// only "profile" that a URL may give as an argument.
	Profile string `yaml:"profile"`
	// CredentialsFile is the JSON key of a Google service account.
	CredentialsFile string `yaml:"credentials_file"`
	// Account of Azure that an azure store's container is in.
	Account string `yaml:"account"`
	// AccountKeyFile holds the key of the Account, in base64.
	AccountKeyFile string `yaml:"account_key_file"`
	// ClientID is the application that azure-ad stores are used as.
	ClientID string `yaml:"client_id"`
	// ClientSecretFile holds the secret of the application.
	ClientSecretFile string `yaml:"client_secret_file"`
}

// settings that only entries of some schemes may have, which are those that act on them.
func (e *Entry) settings() map[string]struct {
	set     bool
	schemes []string
} {
	type setting = struct {
		set     bool
		schemes []string
	}
	remote := []string{"s3", "gs", "azure", "azure-ad"}
	return map[string]setting{
		"endpoint":           {e.Endpoint != "", remote},
		"addresses":          {len(e.Addresses) > 0, remote},
		"region":             {e.Region != "", remote[:1]},
		"profile":            {e.Profile != "", remote[:1]},
		"credentials_file":   {e.CredentialsFile != "", remote[1:2]},
		"account":            {e.Account != "", remote[2:3]},
		"account_key_file":   {e.AccountKeyFile != "", remote[2:3]},
		"client_id":          {e.ClientID != "", remote[3:]},
		"client_secret_file": {e.ClientSecretFile != "", remote[3:]},
	}
}

// validate tells what is wrong with the entry, naming it.
func (e *Entry) validate() error {
	named := e.URL
	if e.Name != "" {
		named = e.Name
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("store %q: "+format, append([]any{named}, args...)...)
	}
	if e.Name != "" && !isName(e.Name) {
		return fail("its name has other characters than a-z, 0-9, - and _")
	}
	loc, err := parseURL(e.URL)
	var bad *URLError
	switch {
	case errors.As(err, &bad):
		return fail("its url: %s", bad.Reason)
	case loc.base != e.URL:
		return fail("its url has arguments, or is not in its usual form %s", loc.base)
	}
	for name, s := range e.settings() {
		if s.set && !slices.Contains(s.schemes, loc.scheme) {
			return fail("%s means nothing to a store of scheme %s", name, loc.scheme)
		}
	}
	if e.Endpoint != "" {
		u, err := url.Parse(e.Endpoint)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil ||
			u.RawQuery != "" || u.Fragment != "" {
			return fail("its endpoint is no http or https URL without user and arguments")
		}
		if u.Scheme == "http" && len(e.Addresses) == 0 {
			return fail("its endpoint is plain http, and no addresses are given to which that may be spoken")
		}
	}
	if (e.ClientID == "") != (e.ClientSecretFile == "") {
		return fail("client_id and client_secret_file go together")
	}
	if (e.Account == "") != (e.AccountKeyFile == "") {
		return fail("account and account_key_file go together")
	}
	return nil
}

// isName tells whether s may be the name of a store. No name is a URL.
func isName(s string) bool {
	return len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// validateEntries tells what is wrong with the entries, each and together.
func validateEntries(entries []Entry) error {
	names, urls := make(map[string]bool), make(map[string]bool)
	for i := range entries {
		e := &entries[i]
		if err := e.validate(); err != nil {
			return err
		}
		if e.Name != "" && names[e.Name] {
			return fmt.Errorf("store %q is defined twice", e.Name)
		}
		if urls[e.URL] {
			return fmt.Errorf("store URL %s is defined twice", e.URL)
		}
		names[e.Name], urls[e.URL] = true, true
	}
	return nil
}

// maxEntriesFile bounds the file of entries, in bytes.
const maxEntriesFile = 1 << 20

// ReadEntries reads the operator's file of stores, as docs/stores.md describes it.
func ReadEntries(name string) ([]Entry, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("file of stores: %w", err)
	}
	entries, err := ParseEntries(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("file of stores %s: %w", name, err)
	}
	return entries, nil
}

// ParseEntries reads entries as YAML. What it doesn't know it refuses by name.
func ParseEntries(r io.Reader) ([]Entry, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxEntriesFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxEntriesFile {
		return nil, fmt.Errorf("it is longer than %d bytes", maxEntriesFile)
	}
	var file struct {
		Stores []Entry `yaml:"stores"`
	}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document in it")
	}
	if err := validateEntries(file.Stores); err != nil {
		return nil, err
	}
	return file.Stores, nil
}
