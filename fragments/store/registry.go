package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
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
	// Allow are the prefixes, each ending in a slash, of the URLs that may be opened.
	// Where it is nil, all below file:/// may if there is a FileRoot.
	Allow []string
	// PartialAge is how long a partial file has to lie untouched before Sweep takes
	// it for a dead one. Default: DefaultPartialAge.
	PartialAge time.Duration
	// FS takes the place of the directory FileRoot; for tests.
	FS FS
	// Registerer of the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Validate tells what is wrong with the config.
func (c RegistryConfig) Validate() error {
	for _, prefix := range c.Allow {
		if !strings.HasSuffix(prefix, "/") || !strings.Contains(prefix, "://") {
			return fmt.Errorf("allowed store prefix %q: it is no URL that ends in a slash", prefix)
		}
	}
	if c.PartialAge < 0 {
		return fmt.Errorf("age of dead partial files is %s, less than 0", c.PartialAge)
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
	if config.Allow == nil {
		r.config.Allow = []string{"file:///"}
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

// Close frees what the registry holds. Its stores are not used afterwards.
func (r *Registry) Close() error { return r.close() }

// Open returns the store of a URL, the same at each call, or a *URLError.
func (r *Registry) Open(url string) (Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.open[url]; ok {
		return s, nil
	}
	files, err := r.fileStore(url)
	if err != nil {
		return nil, err
	}
	s := &measured{store: files, url: files.base, metrics: r.metrics}
	r.open[url] = s
	r.metrics.active.Set(float64(len(r.open)))
	return s, nil
}

func (r *Registry) fileStore(url string) (*fileStore, error) {
	loc, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	allowed := false
	for _, prefix := range r.config.Allow {
		allowed = allowed || strings.HasPrefix(loc.base, prefix)
	}
	switch {
	case r.files == nil:
		return nil, &URLError{URL: loc.base, Reason: "there is no root for file stores", NotAllowed: true}
	case !allowed:
		return nil, &URLError{URL: loc.base, Reason: "no entry allows it", NotAllowed: true}
	}
	return &fileStore{location: loc, creator: r.files, fs: r.files.fs}, nil
}

// LocalPath is the name of the file, absolute, that the object at p of the store
// url is, if it is one and is there; so that it can be read in place.
func (r *Registry) LocalPath(url, p string) (string, bool) {
	s, err := r.fileStore(url)
	if err != nil {
		return "", false
	}
	key, _, err := s.stat(context.Background(), p)
	if err != nil {
		return "", false
	}
	return filepath.Join(r.config.FileRoot, filepath.FromSlash(key)), true
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
