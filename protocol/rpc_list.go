package protocol

import "strings"

// Validate the selector, and the header of the snapshot to resume from.
func (x *ListRequest) Validate() error {
	if err := x.GetSelector().Validate(); err != nil {
		return within("Selector", err)
	}
	if err := validatePrefixValues(x.GetSelector().GetInclude()); err != nil {
		return within("Selector.Include", err)
	}
	if err := validatePrefixValues(x.GetSelector().GetExclude()); err != nil {
		return within("Selector.Exclude", err)
	}
	return within("WatchResume", validateResume(x.GetWatchResume()))
}

func validateResume(h *Header) error {
	if h == nil {
		return nil
	}
	return h.Validate()
}

// validatePrefixValues requires that the meta-label "prefix" names a directory.
func validatePrefixValues(set *LabelSet) error {
	for _, l := range set.labelsOf(MetaLabelPrefix) {
		if !strings.HasSuffix(l.GetValue(), "/") {
			return invalidField("Labels", "label %q must end in '/' (%q)", MetaLabelPrefix, l.GetValue())
		}
	}
	return nil
}

// Validate one message of a listing. Only the first of a snapshot has a header,
// and it is for the receiver to require it there.
func (x *ListResponse) Validate() error {
	if err := x.GetStatus().Validate(); err != nil {
		return within("Status", err)
	}
	if err := validateOptionalHeader(x.GetHeader()); err != nil {
		return err
	}
	for i, j := range x.GetJournals() {
		if err := j.Validate(); err != nil {
			return withinIndex("Journals", i, err)
		}
	}
	return nil
}

// Validate the spec, its revision, and the route.
func (x *ListResponse_Journal) Validate() error {
	if err := x.GetSpec().Validate(); err != nil {
		return within("Spec", err)
	}
	if x.GetModRevision() <= 0 {
		return invalidField("ModRevision", "invalid ModRevision (%d; expected > 0)", x.GetModRevision())
	}
	return within("Route", x.GetRoute().Validate())
}

// Validate each change.
func (x *ApplyRequest) Validate() error {
	for i, c := range x.GetChanges() {
		if err := c.Validate(); err != nil {
			return withinIndex("Changes", i, err)
		}
	}
	return nil
}

// Validate that the change is either an upsert, of a revision of 0 (create), more,
// or -1 (any), or a delete, of a revision of 1, more, or -1.
func (x *ApplyRequest_Change) Validate() error {
	rev := x.GetExpectModRevision()
	switch {
	case x.GetUpsert() != nil && x.GetDelete() != "":
		return invalid("both Upsert and Delete are set (expected one)")
	case x.GetUpsert() != nil:
		if err := x.GetUpsert().Validate(); err != nil {
			return within("Upsert", err)
		}
		if rev < -1 {
			return invalidField("ExpectModRevision", "invalid ExpectModRevision (%d; expected >= 0, or -1)", rev)
		}
	case x.GetDelete() != "":
		if err := ValidateJournalName(x.GetDelete()); err != nil {
			return within("Delete", err)
		}
		if rev <= 0 && rev != -1 {
			return invalidField("ExpectModRevision", "invalid ExpectModRevision (%d; expected > 0, or -1)", rev)
		}
	default:
		return invalid("neither Upsert nor Delete is set (expected one)")
	}
	return nil
}

// Validate the status and the header.
func (x *ApplyResponse) Validate() error {
	if err := x.GetStatus().Validate(); err != nil {
		return within("Status", err)
	}
	return within("Header", x.GetHeader().Validate())
}
