package direct

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

const (
	// defaultStall is how long a store may be silent.
	defaultStall = time.Minute
	// dialTimeout bounds making a connection, and its TLS.
	dialTimeout = 20 * time.Second
)

// Config of Stores.
type Config struct {
	// FileRoot is the directory that the paths of file URLs are below. Without it, they
	// aren't read.
	FileRoot string
	// TLS of https; nil trusts what the system does.
	TLS *tls.Config
	// Stall is how long a store may send nothing, while it is read from; 0 is a minute.
	Stall time.Duration
}

// Validate that the stall isn't negative.
func (c Config) Validate() error {
	if c.Stall < 0 {
		return fmt.Errorf("stall %s: must not be negative", c.Stall)
	}
	return nil
}

// Stores are read from. Its methods may be called concurrently.
type Stores struct {
	cfg       Config
	http      *http.Client
	transport *http.Transport
}

// New returns stores. Close releases what they hold.
func New(cfg Config) (*Stores, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Stall == 0 {
		cfg.Stall = defaultStall
	}
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		TLSClientConfig:     cfg.TLS.Clone(),
		// One connection for each fragment: over one of HTTP/2, a reader that is slow
		// would stop the others.
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
		DisableCompression:  true, // encodings are our own affair
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     30 * time.Second,
	}
	return &Stores{cfg: cfg, transport: t, http: &http.Client{Transport: t}}, nil
}

// Close connections that no Reader uses.
func (s *Stores) Close() { s.transport.CloseIdleConnections() }

// source is a file as its store gives it.
type source struct {
	io.ReadCloser
	// begin is the offset of its first byte of content: that of the fragment, or later
	// if the store could be asked for a part.
	begin int64
	// gzipped says that the file is in a gzip of its own, which isn't the codec's.
	gzipped bool
	// length in the store, -1 if it isn't known.
	length int64
}

// open the file that has [offset, end) of a fragment.
func (s *Stores) open(ctx context.Context, f *protocol.Fragment, location string, offset, end int64) (*source, error) {
	u, err := url.Parse(location)
	switch {
	case err != nil || location == "":
		return nil, fmt.Errorf("%w: it has no URL", ErrUnsupported)
	case u.Scheme == "http", u.Scheme == "https":
		return s.get(ctx, f, location, offset, end)
	case u.Scheme == "file":
		return s.openFile(f, u.Path)
	}
	return nil, fmt.Errorf("%w: scheme %q", ErrUnsupported, u.Scheme)
}

// get asks a store for a file. A file that isn't compressed is asked for the part that is
// wanted, which a store may ignore.
func (s *Stores) get(ctx context.Context, f *protocol.Fragment, location string, offset, end int64) (*source, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location, http.NoBody)
	if err != nil {
		return nil, withoutURL(err)
	}
	encoding := "identity"
	if f.GetCompressionCodec() == protocol.CompressionCodec_GZIP {
		encoding = "gzip" // or some stores would decompress, but keep the length
	}
	req.Header.Set("Accept-Encoding", encoding)
	part := f.GetCompressionCodec() == protocol.CompressionCodec_NONE && (offset != f.GetBegin() || end != f.GetEnd())
	if part {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset-f.GetBegin(), end-f.GetBegin()-1))
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	src, err := sourceOf(resp, f, offset, part)
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return src, nil
}

func sourceOf(resp *http.Response, f *protocol.Fragment, offset int64, part bool) (*source, error) {
	src := &source{ReadCloser: resp.Body, begin: f.GetBegin(), length: resp.ContentLength}
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); {
	case encoding == "gzip":
		src.gzipped = f.GetCompressionCodec() != protocol.CompressionCodec_GZIP
	case encoding != "" && encoding != "identity":
		return nil, fmt.Errorf("store encoded it by %q", encoding)
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		return src, nil
	case resp.StatusCode != http.StatusPartialContent || !part || src.gzipped:
		return nil, fmt.Errorf("store answered with HTTP status %d", resp.StatusCode)
	}
	// The store says from where on it sends, and how long the file is.
	var first, last, length int64
	if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &length); err != nil {
		return nil, fmt.Errorf("store sent a part with Content-Range %q", resp.Header.Get("Content-Range"))
	}
	if first != offset-f.GetBegin() {
		return nil, fmt.Errorf("store sent the part from byte %d on (expected %d)", first, offset-f.GetBegin())
	}
	if length != f.GetEnd()-f.GetBegin() {
		return nil, fmt.Errorf("%w (%d bytes)", errLength, length)
	}
	src.begin = offset
	return src, nil
}

// openFile opens a path below the root.
func (s *Stores) openFile(f *protocol.Fragment, path string) (*source, error) {
	if s.cfg.FileRoot == "" {
		return nil, fmt.Errorf("%w: a file, and no root of files is configured", ErrUnsupported)
	}
	file, err := os.OpenInRoot(s.cfg.FileRoot, strings.TrimPrefix(path, "/"))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the operation and the path
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: isn't a regular file", path)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	offload := f.GetCompressionCodec() == protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION
	return &source{ReadCloser: file, begin: f.GetBegin(), length: info.Size(), gzipped: offload}, nil
}
