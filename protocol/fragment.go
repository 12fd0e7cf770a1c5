package protocol

import (
	"net/url"
	"strings"
)

// Validate the fragment's journal, range, codec and path postfix.
func (x *Fragment) Validate() error {
	if err := ValidateJournal(x.GetJournal()); err != nil {
		return within("Journal", err)
	}
	if x.GetBegin() > x.GetEnd() {
		return invalid("expected Begin <= End (have %d, %d)", x.GetBegin(), x.GetEnd())
	}
	if err := x.GetCompressionCodec().Validate(); err != nil {
		return within("CompressionCodec", err)
	}
	return within("PathPostfix", validatePathComponent(x.GetPathPostfix(), 0))
}

// ParseFragmentStore parses the URL of a fragment store: "s3", "gs" and "azure"
// name a bucket, "azure-ad" a tenant, account and container, "file" no host. The
// path ends in '/'. No URL carries credentials: these are the operator's, not the
// spec's. Whether such a store can be opened isn't said here.
func ParseFragmentStore(store string) (*url.URL, error) {
	u, err := url.Parse(store)
	if err != nil {
		// The URL isn't repeated: it may carry what isn't meant for an error.
		return nil, invalid("isn't a URL")
	}
	if u.User != nil {
		return nil, invalid("must not carry a user or password (%q)", u.Redacted())
	}
	if !u.IsAbs() {
		return nil, invalid("isn't an absolute URL (%q)", store)
	}
	switch u.Scheme {
	case "s3", "gs", "azure":
		if u.Host == "" {
			return nil, invalid("names no bucket (%q)", store)
		}
	case "azure-ad":
		parts := strings.Split(strings.TrimPrefix(u.Path, "/"), "/")
		if u.Host == "" || len(parts) < 2 || parts[0] == "" || parts[1] == "" {
			return nil, invalid("must name a tenant, a storage account and a container (%q)", store)
		}
	case "file":
		if u.Host != "" {
			return nil, invalid("a file store has no host (%q)", store)
		}
	default:
		return nil, invalid("unknown scheme %q", u.Scheme)
	}
	if !strings.HasSuffix(u.Path, "/") {
		return nil, invalid("path doesn't end in '/' (%q)", u.Path)
	}
	return u, nil
}

// ValidateFragmentStore is ParseFragmentStore without its result.
func ValidateFragmentStore(store string) error {
	_, err := ParseFragmentStore(store)
	return err
}
