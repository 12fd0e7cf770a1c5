package store

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// URLError is why a URL isn't that of a store that may be used. It holds the URL
// without its user and arguments, which may be secret.
type URLError struct {
	// URL of the store, without user and arguments.
	URL string
	// Reason, as a clause.
	Reason string
	// NotAllowed tells that the URL is a proper one that the operator didn't allow.
	NotAllowed bool
}

// Error names the URL and the reason.
func (e *URLError) Error() string { return fmt.Sprintf("store %s: %s", e.URL, e.Reason) }

// Is makes a URL that isn't allowed an ErrNotAllowed.
func (e *URLError) Is(target error) bool { return e.NotAllowed && target == ErrNotAllowed }

// location is a parsed URL of a store.
type location struct {
	scheme string
	base   string // The URL without arguments.
	prefix string // Of keys: the URL's path without its leading slash. Empty, or ends in a slash.
	rewrite
}

// laterSchemes are those of Gazette for which there is no driver yet.
var laterSchemes = []string{"s3", "gs", "azure", "azure-ad"}

// parseURL parses the URL of a store and refuses what a driver wouldn't act on.
func parseURL(raw string) (location, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's error quotes the URL, with all its secrets.
		return location{}, &URLError{URL: "(unreadable)", Reason: "it is no URL"}
	}
	base := u.Scheme + "://" + u.Host + (&url.URL{Path: u.Path}).EscapedPath()
	fail := func(format string, args ...any) (location, error) {
		return location{}, &URLError{URL: base, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case slices.Contains(laterSchemes, u.Scheme):
		return fail("scheme %q is not supported yet", u.Scheme)
	case u.Scheme != "file":
		return fail("scheme %q is unknown", u.Scheme)
	case u.Opaque != "":
		return fail("it doesn't begin with %q", "file:///")
	case u.User != nil:
		return fail("it names a user: credentials are no part of a store's URL")
	case u.Host != "":
		return fail("a file store has no host, and %q is one", u.Host)
	case u.Fragment != "":
		return fail("it has a fragment")
	case !strings.HasPrefix(u.Path, "/") || !strings.HasSuffix(u.Path, "/"):
		return fail("its path doesn't begin and end with a slash")
	}
	loc := location{scheme: u.Scheme, base: base, prefix: u.Path[1:]}
	if loc.prefix != "" {
		if err := validatePath(strings.TrimSuffix(loc.prefix, "/")); err != nil {
			return fail("%v", err)
		}
	}
	if loc.rewrite, err = parseRewrite(u.RawQuery); err != nil {
		return fail("%v", err)
	}
	return loc, nil
}
