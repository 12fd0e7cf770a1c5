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
	host   string
	base   string // The URL without arguments.
	prefix string // Of keys: the URL's path without its leading slash. Empty, or ends in a slash.
	args   map[string]string
	rewrite
}

// schemes are those of Gazette, with what the host of a URL stands for and the names of
// the arguments that there are besides find and replace.
var schemes = map[string]struct {
	host string
	args []string
}{
	"file":     {},
	"s3":       {host: "bucket", args: []string{"profile", "endpoint", "region", "acl", "storageclass", "sse", "ssekmskeyid"}},
	"gs":       {host: "bucket"},
	"azure":    {host: "container"},
	"azure-ad": {host: "tenant"},
}

// parseURL parses the URL of a store and refuses what no driver would act on.
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
	scheme, known := schemes[u.Scheme]
	switch {
	case !known:
		return fail("scheme %q is unknown", u.Scheme)
	case u.Opaque != "":
		return fail("it doesn't begin with %q", u.Scheme+"://")
	case u.User != nil:
		return fail("it names a user: credentials are no part of a store's URL")
	case scheme.host == "" && u.Host != "":
		return fail("a file store has no host, and %q is one", u.Host)
	case scheme.host != "" && !isHost(u.Host):
		return fail("it doesn't name a %s", scheme.host)
	case u.Fragment != "":
		return fail("it has a fragment")
	case !strings.HasPrefix(u.Path, "/") || !strings.HasSuffix(u.Path, "/"):
		return fail("its path doesn't begin and end with a slash")
	}
	loc := location{scheme: u.Scheme, host: u.Host, base: base, prefix: u.Path[1:]}
	if loc.prefix != "" {
		if err := validatePath(strings.TrimSuffix(loc.prefix, "/")); err != nil {
			return fail("%v", err)
		}
	}
	if loc.args, err = parseArgs(u.RawQuery, append(slices.Clone(scheme.args), "find", "replace")); err != nil {
		return fail("%v", err)
	}
	if loc.rewrite, err = takeRewrite(loc.args); err != nil {
		return fail("%v", err)
	}
	return loc, nil
}

// isHost tells whether s may name a bucket, container or tenant: it goes into the names
// of hosts and paths of requests.
func isHost(s string) bool {
	return s != "" && len(s) <= 255 && s[0] != '.' && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.", c)
	})
}

// parseArgs reads the arguments of a URL, whose names may be in any case.
func parseArgs(query string, known []string) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errUnreadableArgs
	}
	args := make(map[string]string, len(values))
	for key, vals := range values {
		name := strings.ToLower(key)
		if _, ok := args[name]; ok || len(vals) > 1 {
			return nil, fmt.Errorf("argument %q is given more than once", name)
		}
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("argument %q is unknown", key)
		}
		args[name] = vals[0]
	}
	return args, nil
}
