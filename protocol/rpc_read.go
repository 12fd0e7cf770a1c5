package protocol

import "net/url"

// Validate the request of a reader, or of a broker that proxies one.
func (x *ReadRequest) Validate() error {
	if err := validateOptionalHeader(x.GetHeader()); err != nil {
		return err
	}
	if err := ValidateJournal(x.GetJournal()); err != nil {
		return within("Journal", err)
	}
	if x.GetOffset() < -1 {
		return invalidField("Offset", "invalid Offset (%d; expected >= -1)", x.GetOffset())
	}
	if x.GetEndOffset() < 0 || x.GetEndOffset() != 0 && x.GetEndOffset() < x.GetOffset() {
		return invalidField("EndOffset", "invalid EndOffset (%d; expected 0, or >= Offset)", x.GetEndOffset())
	}
	return nil
}

// Validate that the response is either a chunk of content, with its offset and
// nothing else, or metadata.
func (x *ReadResponse) Validate() error {
	if len(x.GetContent()) != 0 {
		return x.validateContent()
	}
	if err := x.GetStatus().Validate(); err != nil {
		return within("Status", err)
	}
	if err := validateOptionalHeader(x.GetHeader()); err != nil {
		return err
	}
	if x.GetWriteHead() < 0 {
		return invalidField("WriteHead", "invalid WriteHead (%d; expected >= 0)", x.GetWriteHead())
	}
	if x.GetFragment() == nil {
		if x.GetStatus() == Status_OK && x.GetOffset() != 0 {
			return invalidField("Offset", "unexpected Offset without Fragment or Content (%d)", x.GetOffset())
		}
		if x.GetFragmentUrl() != "" {
			return invalidField("FragmentUrl", "unexpected FragmentUrl without Fragment")
		}
		return nil
	}
	return x.validateFragment()
}

// validateContent is on the path of each chunk, and allocates nothing.
func (x *ReadResponse) validateContent() error {
	switch {
	case x.GetStatus() != Status_OK:
		return invalidField("Status", "unexpected Status with Content (%s)", x.GetStatus())
	case x.GetHeader() != nil:
		return invalidField("Header", "unexpected Header with Content")
	case x.GetWriteHead() != 0:
		return invalidField("WriteHead", "unexpected WriteHead with Content (%d)", x.GetWriteHead())
	case x.GetFragment() != nil:
		return invalidField("Fragment", "unexpected Fragment with Content")
	case x.GetFragmentUrl() != "":
		return invalidField("FragmentUrl", "unexpected FragmentUrl with Content")
	}
	return nil
}

func (x *ReadResponse) validateFragment() error {
	f := x.GetFragment()
	if err := f.Validate(); err != nil {
		return within("Fragment", err)
	}
	if x.GetOffset() < f.GetBegin() || x.GetOffset() >= f.GetEnd() {
		return invalidField("Offset", "invalid Offset (%d; expected %d <= Offset < %d)", x.GetOffset(), f.GetBegin(), f.GetEnd())
	}
	if x.GetWriteHead() < f.GetEnd() {
		return invalidField("WriteHead", "invalid WriteHead (%d; expected >= %d)", x.GetWriteHead(), f.GetEnd())
	}
	if _, err := url.Parse(x.GetFragmentUrl()); err != nil {
		return invalidField("FragmentUrl", "isn't a URL")
	}
	return nil
}

// validateOptionalHeader validates a field "Header" that may be absent.
func validateOptionalHeader(h *Header) error {
	if h == nil {
		return nil
	}
	return within("Header", h.Validate())
}
