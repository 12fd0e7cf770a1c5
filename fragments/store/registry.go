package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DefaultPartialAge is RegistryConfig.PartialAge where it is zero.
const DefaultPartialAge = time.Hour

// RegistryConfig says which stores there are. The zero value allows none.
type RegistryConfig struct {
	// FileRoot is the directory that file:/// stands for. It has to exist; where it is
	// empty there are no file stores.
	FileRoot string
	// FileOnly makes all stores, of whatever scheme, directories below FileRoot: that of the URL's path, its
	// host being ignored. It is for tests and trials of what is meant for a cloud: drivers aren't used,
	// and Entries aren't needed and only give names.
	FileOnly bool
	// Entries say which URLs may be opened, and how. Where it is nil, all below file:///
	// may if there is a FileRoot.
	Entries []Entry
	// Drivers by scheme of URL. The driver of file stores is always there.
	Drivers map[string]Driver
	// PartialAge is how long a partial file has to lie untouched before Sweep takes
	// it for a dead one. Default: DefaultPartialAge.
	PartialAge time.Duration
	// FS takes the place of the directory FileRoot; for tests.
	FS FS
	// Registerer of the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Driver opens stores of some schemes.
type Driver interface {
	// Open returns the store that holds the target's objects, and the prefix of its keys:
	// its paths are keys, which are clean paths. It does no I/O: a store finds its
	// credentials when it is first used, and looks anew if it can't.
	Open(target Target) (objects Store, prefix string, err error)
}

// Target is the URL of a store that is allowed.
type Target struct {
	// Scheme of the URL.
	Scheme string
	// Host of the URL: a bucket, container or tenant.
	Host string
	// Path of the URL without its leading slash. It is empty, or ends in a slash.
	Path string
	// Args of the URL by name in lower case, without find and replace.
	Args map[string]string
	// Entry that allows it.
	Entry Entry
}

// Validate tells what is wrong with the config.
func (c RegistryConfig) Validate() error {
	if err := validateEntries(c.Entries); err != nil {
		return err
	}
	if c.PartialAge < 0 {
		return fmt.Errorf("age of dead partial files is %s, less than 0", c.PartialAge)
	}
	if c.FileOnly && c.FileRoot == "" {
		return errors.New("all stores are to be file stores, and there is no root for those")
	}
	if c.FS != nil && c.FileRoot == "" {
		return errors.New("a file system for file stores without the root that it stands for")
	}
	return nil
}

// Registry opens stores by URL. It is safe for concurrent use.
type Registry struct {
	config  RegistryConfig
	files   *creator // Nil if there are no file stores.
	close   func() error
	metrics *metrics

	mu   sync.Mutex
	open map[string]Store // By URL as given.
}

// NewRegistry returns a registry, which is to be closed. It fails if FileRoot isn't
// a directory, so that an unmounted one isn't taken for an empty one.
func NewRegistry(config RegistryConfig) (*Registry, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	r := &Registry{
		config:  config,
		close:   func() error { return nil },
		metrics: newMetrics(config.Registerer),
		open:    make(map[string]Store),
	}
	if config.FileRoot == "" {
		return r, nil
	}
	root, err := filepath.Abs(config.FileRoot)
	if err != nil {
		return nil, fmt.Errorf("root of the file stores: %w", err)
	}
	r.config.FileRoot = root
	if config.Entries == nil {
		r.config.Entries = []Entry{{URL: "file:///"}}
	}
	fsys := config.FS
	if fsys == nil {
		dir, err := openRoot(root)
		if err != nil {
			return nil, err
		}
		fsys, r.close = dir, dir.Close
	}
	r.files = newCreator(fsys)
	return r, nil
}

// Close frees what the registry and its drivers hold. Its stores are not used
// afterwards.
func (r *Registry) Close() error {
	err := r.close()
	for _, d := range r.config.Drivers {
		if c, ok := d.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

// maxOpen bounds the stores that are remembered: URLs come from specs.
const maxOpen = 4096

// Open returns the store of a URL, the same at each call for as long as not too many
// others are opened, or a *URLError.
func (r *Registry) Open(url string) (Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.open[url]; ok {
		return s, nil
	}
	objects, err := r.objects(url)
	if err != nil {
		return nil, err
	}
	if len(r.open) >= maxOpen {
		clear(r.open)
	}
	s := &measured{store: objects, url: objects.base, metrics: r.metrics}
	r.open[url] = s
	r.metrics.active.Set(float64(len(r.open)))
	return s, nil
}

// Check tells why objects below a directory, whose name ends in a slash, can't be kept in the store of a URL, as far
// as that can be told without asking it: it may not be opened, or what it rewrites paths to isn't below its prefix.
func (r *Registry) Check(url, dir string) error {
	if _, err := r.Open(url); err != nil {
		return err
	}
	loc, err := parseURL(url)
	if err != nil {
		return err
	}
	refuse := func(reason string) error { return &URLError{URL: loc.base, Reason: reason} }
	if loc.climbs() {
		return refuse(fmt.Sprintf("its argument replace=%q climbs", loc.replace))
	}
	if _, err = (&keyed{location: loc}).keys(dir); err != nil {
		return refuse(err.Error())
	}
	return nil
}

func (r *Registry) objects(url string) (*keyed, error) {
	loc, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	refuse := func(format string, args ...any) (*keyed, error) {
		return nil, &URLError{URL: loc.base, Reason: fmt.Sprintf(format, args...), NotAllowed: true}
	}
	entry := r.entry(loc.base)
	switch {
	case r.config.FileOnly:
		return &keyed{location: loc, objects: fileStore{r.files}}, nil
	case loc.scheme == "file" && r.files == nil:
		return refuse("there is no root for file stores")
	case entry == nil:
		return refuse("no entry allows it")
	case loc.args["endpoint"] != "" && loc.args["endpoint"] != entry.Endpoint:
		return refuse("its argument %q is not the endpoint of the entry %s", "endpoint", entry.URL)
	case loc.args["profile"] != "" && loc.args["profile"] != entry.Profile:
		return refuse("its argument %q is not the profile of the entry %s", "profile", entry.URL)
	case loc.scheme == "file":
		return &keyed{location: loc, objects: fileStore{r.files}}, nil
	}
	driver := r.config.Drivers[loc.scheme]
	if driver == nil {
		return refuse("this program has no driver for scheme %q", loc.scheme)
	}
	objects, prefix, err := driver.Open(Target{
		Scheme: loc.scheme, Host: loc.host, Path: loc.prefix, Args: loc.args, Entry: *entry,
	})
	if err != nil {
		return nil, &URLError{URL: loc.base, Reason: err.Error()}
	}
	loc.prefix = prefix
	return &keyed{location: loc, objects: objects}, nil
}

// entry is the one whose URL is the longest that the base of a URL begins with.
func (r *Registry) entry(base string) *Entry {
	var found *Entry
	for i, e := range r.config.Entries {
		if strings.HasPrefix(base, e.URL) && (found == nil || len(e.URL) > len(found.URL)) {
			found = &r.config.Entries[i]
		}
	}
	return found
}

// ResolveName is the URL for what specs and SQL may write, as Resolve has it, by entries alone: whether a store of
// that URL can be used is for others to say, who can reach it.
func ResolveName(entries []Entry, nameOrURL string) (string, error) {
	if strings.Contains(nameOrURL, ":") {
		return nameOrURL, nil
	}
	name, below, _ := strings.Cut(nameOrURL, "/")
	i := slices.IndexFunc(entries, func(e Entry) bool { return name != "" && e.Name == name })
	if i < 0 {
		return "", &URLError{URL: strconv.Quote(nameOrURL), Reason: "no entry has that name", NotAllowed: true}
	}
	return entries[i].URL + below, nil
}

// Resolve is the URL for what specs and SQL may write: a URL, the name of an entry, or
// a name and what is to follow the entry's URL, as in "lake/clicks/". The URL is one
// that Open opens.
func (r *Registry) Resolve(nameOrURL string) (string, error) {
	resolved, err := ResolveName(r.config.Entries, nameOrURL)
	if err != nil {
		return "", err
	}
	if _, err := r.Open(resolved); err != nil {
		return "", err
	}
	return resolved, nil
}

// LocalPath is the name of the file, absolute, that the object at p of the store
// url is, if it is one and is there; so that it can be read in place.
func (r *Registry) LocalPath(url, p string) (string, bool) {
	s, err := r.objects(url)
	if err != nil || s.scheme != "file" && !r.config.FileOnly {
		return "", false
	}
	if _, err = s.Stat(context.Background(), p); err != nil {
		return "", false
	}
	key, err := s.key(p)
	return filepath.Join(r.config.FileRoot, filepath.FromSlash(key)), err == nil
}

// Sweep removes the partial files of file stores that dead processes left, and
// tells how many. It walks all directories: call it once, beside other work.
func (r *Registry) Sweep(ctx context.Context) (int, error) {
	if r.files == nil {
		return 0, nil
	}
	age := r.config.PartialAge
	if age == 0 {
		age = DefaultPartialAge
	}
	removed := 0
	err := walk(ctx, r.files.fs, ".", func(name string, info fs.FileInfo) error {
		if !strings.HasPrefix(path.Base(name), partialPrefix) || time.Since(info.ModTime()) < age {
			return nil
		}
		if err := r.files.fs.Remove(name); err != nil && !absent(err) {
			return err
		}
		removed++
		return nil
	})
	if err != nil {
		return removed, fmt.Errorf("sweep partial files below %s: %w", r.config.FileRoot, err)
	}
	return removed, nil
}
