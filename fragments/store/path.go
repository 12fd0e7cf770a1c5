package store

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// partialPrefix begins the names of files that aren't objects yet. They lie beside
// the objects that they are to become; no object may be named so.
const partialPrefix = ".partial-"

// validatePath tells why p can't be the path of an object.
func validatePath(p string) error {
	switch {
	case p == "":
		return errors.New("the path is empty")
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("path %q has a NUL", p)
	case p[0] == '/':
		return fmt.Errorf("path %q is absolute", p)
	case p == ".." || strings.HasPrefix(p, "../") || strings.HasSuffix(p, "/..") || strings.Contains(p, "/../"):
		return fmt.Errorf("path %q climbs", p)
	case path.Clean(p) != p || p == ".":
		return fmt.Errorf("path %q is not clean", p)
	case strings.HasPrefix(path.Base(p), partialPrefix):
		return fmt.Errorf("path %q is of a name that partial files have", p)
	}
	return nil
}

// validatePrefix tells why no path can begin with p.
func validatePrefix(p string) error {
	dir, _ := path.Split(p)
	if dir == "" {
		if strings.ContainsRune(p, 0) {
			return fmt.Errorf("prefix %q has a NUL", p)
		}
		return nil
	}
	return validatePath(strings.TrimSuffix(dir, "/"))
}

// rewrite replaces the first occurrence of find in a path. An empty find changes
// nothing.
type rewrite struct{ find, replace string }

var errUnreadableArgs = errors.New("its arguments can't be read")

// takeRewrite takes those arguments of a URL that rewrite paths.
func takeRewrite(args map[string]string) (rewrite, error) {
	r := rewrite{find: args["find"], replace: args["replace"]}
	if _, ok := args["replace"]; ok && r.find == "" {
		return rewrite{}, errors.New(`argument "replace" needs an argument "find"`)
	}
	delete(args, "find")
	delete(args, "replace")
	return r, nil
}

func (r rewrite) apply(p string) string {
	if r.find == "" {
		return p
	}
	return strings.Replace(p, r.find, r.replace, 1)
}

// climbs tells whether what is put into paths has an element that leads out of where they are.
func (r rewrite) climbs() bool { return slices.Contains(strings.Split(r.replace, "/"), "..") }

// prefix is apply for a prefix of paths. It fails if the first occurrence of find
// could lie partly in the prefix and partly behind it: the paths that begin with
// the prefix then have no prefix in common.
func (r rewrite) prefix(p string) (string, error) {
	if r.find == "" || strings.Contains(p, r.find) {
		return r.apply(p), nil
	}
	for n := min(len(p), len(r.find)-1); n > 0; n-- {
		if strings.HasSuffix(p, r.find[:n]) {
			return "", fmt.Errorf("can't list: argument find=%q may straddle the end of the prefix", r.find)
		}
	}
	return p, nil
}
