package protocol

import (
	"net/url"
	"strings"
)

// maxPageLimit is the most fragments that a page may be asked to have.
const maxPageLimit = 10000

// Validate the request for a page of fragments.
func (x *FragmentsRequest) Validate() error {
	if err := validateOptionalHeader(x.GetHeader()); err != nil {
		return err
	}
	if err := ValidateJournal(x.GetJournal()); err != nil {
		return within("Journal", err)
	}
	if x.GetEndModTime() != 0 && x.GetEndModTime() < x.GetBeginModTime() {
		return invalidField("EndModTime", "invalid EndModTime (%d; expected 0, or >= %d)", x.GetEndModTime(), x.GetBeginModTime())
	}
	if x.GetNextPageToken() < 0 {
		return invalidField("NextPageToken", "invalid NextPageToken (%d; expected >= 0)", x.GetNextPageToken())
	}
	if x.GetPageLimit() < 0 || x.GetPageLimit() > maxPageLimit {
		return invalidField("PageLimit", "invalid PageLimit (%d; expected 0 <= PageLimit <= %d)", x.GetPageLimit(), maxPageLimit)
	}
	if x.GetSignatureTTL() == nil {
		return nil
	}
	ttl, err := durationOf(x.GetSignatureTTL())
	if err != nil {
		return within("SignatureTTL", err)
	}
	if ttl <= 0 {
		return invalidField("SignatureTTL", "invalid SignatureTTL (%s; expected > 0)", ttl)
	}
	return nil
}

// Validate the status, the header and each fragment.
func (x *FragmentsResponse) Validate() error {
	if err := x.GetStatus().Validate(); err != nil {
		return within("Status", err)
	}
	if err := x.GetHeader().Validate(); err != nil {
		return within("Header", err)
	}
	for i, f := range x.GetFragments() {
		if err := f.Validate(); err != nil {
			return withinIndex("Fragments", i, err)
		}
	}
	return nil
}

// Validate the fragment and its URL.
func (x *FragmentsResponse_XFragment) Validate() error {
	if err := x.GetSpec().Validate(); err != nil {
		return within("Spec", err)
	}
	if _, err := url.Parse(x.GetSignedUrl()); err != nil {
		return invalidField("SignedUrl", "isn't a URL")
	}
	return nil
}

// Validate the store, and the prefix below which deletion is probed: empty for the
// store's root, or a clean relative path and '/'.
func (x *FragmentStoreHealthRequest) Validate() error {
	if err := ValidateFragmentStore(x.GetFragmentStore()); err != nil {
		return within("FragmentStore", err)
	}
	if x.GetCheckDeletePrefix() == "" {
		return nil
	}
	const field = "CheckDeletePrefix"
	if !x.GetCheckDelete() {
		return invalidField(field, "unexpected CheckDeletePrefix without CheckDelete (%q)", x.GetCheckDeletePrefix())
	}
	dir, found := strings.CutSuffix(x.GetCheckDeletePrefix(), "/")
	if !found {
		return invalidField(field, "doesn't end in '/' (%q)", x.GetCheckDeletePrefix())
	}
	return within(field, validatePathComponent(dir, 1))
}

// Validate the status and the header.
func (x *FragmentStoreHealthResponse) Validate() error {
	if err := x.GetStatus().Validate(); err != nil {
		return within("Status", err)
	}
	return within("Header", x.GetHeader().Validate())
}
