package protocol

import (
	"mime"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// Names of labels that have a meaning to Gazette's tools.
const (
	// LabelContentType is the media type of a journal's messages.
	LabelContentType = "content-type"
	// LabelInstance tells apart several deployments of an application.
	LabelInstance = "app.gazette.dev/instance"
	// LabelManagedBy names the application that manages the journal.
	LabelManagedBy = "app.gazette.dev/managed-by"
	// LabelMessageSubtype refines LabelMessageType.
	LabelMessageSubtype = "app.gazette.dev/message-subtype"
	// LabelMessageType names the type of a journal's messages.
	LabelMessageType = "app.gazette.dev/message-type"
	// LabelRegion is where the journal lives.
	LabelRegion = "app.gazette.dev/region"
)

// Bounds of a journal's spec.
const (
	maxReplication                         = 5
	minFragmentLength, maxFragmentLength   = 1 << 10, 1 << 34
	minRefreshInterval, maxRefreshInterval = time.Second, 24 * time.Hour
	minFlushInterval                       = time.Minute
	maxJournalLimit                        = 1 << 17
)

// Validate the whole spec.
func (x *JournalSpec) Validate() error {
	if err := ValidateJournalName(x.GetName()); err != nil {
		return within("Name", err)
	}
	if r := x.GetReplication(); r < 1 || r > maxReplication {
		return invalidField("Replication", "invalid Replication (%d; expected 1 <= Replication <= %d)", r, maxReplication)
	}
	if err := x.GetLabels().Validate(); err != nil {
		return within("Labels", err)
	}
	if err := validateJournalLabels(x.GetLabels()); err != nil {
		return within("Labels", err)
	}
	if err := x.GetFragment().Validate(); err != nil {
		return within("Fragment", err)
	}
	if err := x.Flag().Validate(); err != nil {
		return within("Flags", err)
	}
	if x.GetMaxAppendRate() < 0 {
		return invalidField("MaxAppendRate", "invalid MaxAppendRate (%d; expected >= 0)", x.GetMaxAppendRate())
	}
	if err := x.GetSuspend().Validate(); err != nil {
		return within("Suspend", err)
	}
	if x.GetFragment().GetPathPostfixTemplate() == "" {
		return nil
	}
	_, err := x.PathPostfix(PostfixSpool{})
	return within("Fragment.PathPostfixTemplate", err)
}

// Flag of the journal: what may be done with it.
func (x *JournalSpec) Flag() JournalSpec_Flag {
	return JournalSpec_Flag(x.GetFlags()) //nolint:gosec // an overflow isn't a known flag either
}

// Validate that the level is known, and the offset isn't negative. An absent
// state is none.
func (x *JournalSpec_Suspend) Validate() error {
	if err := x.GetLevel().Validate(); err != nil {
		return within("Level", err)
	}
	if x.GetOffset() < 0 {
		return invalidField("Offset", "invalid Offset (%d; expected >= 0)", x.GetOffset())
	}
	return nil
}

// Validate all but the path postfix template, which is evaluated over the whole
// spec.
func (x *JournalSpec_Fragment) Validate() error {
	if l := x.GetLength(); l < minFragmentLength || l > maxFragmentLength {
		return invalidField("Length", "invalid Length (%d; expected %d <= Length <= %d)", l, minFragmentLength, maxFragmentLength)
	}
	if err := x.GetCompressionCodec().Validate(); err != nil {
		return within("CompressionCodec", err)
	}
	for i, s := range x.GetStores() {
		u, err := ParseFragmentStore(s)
		if err != nil {
			return withinIndex("Stores", i, err)
		}
		if i == 0 && u.Scheme == "file" && x.GetCompressionCodec() == CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION {
			return withinIndex("Stores", i, invalid("a file store can't decompress GZIP_OFFLOAD_DECOMPRESSION (%s)", s))
		}
	}
	refresh, err := durationOf(x.GetRefreshInterval())
	if err != nil {
		return within("RefreshInterval", err)
	}
	if refresh < minRefreshInterval || refresh > maxRefreshInterval {
		return invalidField("RefreshInterval", "invalid RefreshInterval (%s; expected %s <= RefreshInterval <= %s)",
			refresh, minRefreshInterval, maxRefreshInterval)
	}
	if _, err = durationOf(x.GetRetention()); err != nil {
		return within("Retention", err)
	}
	flush, err := durationOf(x.GetFlushInterval())
	if err != nil {
		return within("FlushInterval", err)
	}
	if flush != 0 && flush < minFlushInterval {
		return invalidField("FlushInterval", "invalid FlushInterval (%s; expected 0, or >= %s)", flush, minFlushInterval)
	}
	return nil
}

// durationOf returns the duration of a message, 0 if absent. It must be one that
// both protobuf and Go can express.
func durationOf(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	out := d.AsDuration()
	back := durationpb.New(out)
	if back.GetSeconds() != d.GetSeconds() || back.GetNanos() != d.GetNanos() {
		return 0, invalid("invalid duration (%d s and %d ns)", d.GetSeconds(), d.GetNanos())
	}
	return out, nil
}

// validateJournalLabels checks what labels of journals mean, beyond their grammar.
func validateJournalLabels(set *LabelSet) error {
	for _, name := range []string{MetaLabelName, MetaLabelPrefix} {
		if len(set.labelsOf(name)) != 0 {
			return invalid("label %q is reserved", name)
		}
	}
	if err := ValidateSingleValues(set); err != nil {
		return err
	}
	has := func(name string) bool { return len(set.labelsOf(name)) != 0 }
	if has(LabelContentType) {
		if _, _, err := mime.ParseMediaType(set.ValueOf(LabelContentType)); err != nil {
			return invalid("label %q isn't a media type (%q): %s", LabelContentType, set.ValueOf(LabelContentType), err)
		}
	}
	if has(LabelMessageType) && !has(LabelContentType) {
		return invalid("label %q requires label %q", LabelMessageType, LabelContentType)
	}
	if has(LabelMessageSubtype) && !has(LabelMessageType) {
		return invalid("label %q requires label %q", LabelMessageSubtype, LabelMessageType)
	}
	return nil
}

// ValidateSingleValues requires that labels which mean one thing have one value.
func ValidateSingleValues(set *LabelSet) error {
	for _, name := range []string{
		LabelContentType, LabelInstance, LabelManagedBy, LabelMessageSubtype, LabelMessageType, LabelRegion,
	} {
		if n := len(set.labelsOf(name)); n > 1 {
			return invalid("label %q has %d values (expected one)", name, n)
		}
	}
	return nil
}

// Validate the ID and the endpoint.
func (x *ProcessSpec) Validate() error {
	if err := x.GetId().Validate(); err != nil {
		return within("Id", err)
	}
	return within("Endpoint", ValidateEndpoint(x.GetEndpoint()))
}

// Validate the process, and that the journal limit is at most 131072.
func (x *BrokerSpec) Validate() error {
	if err := x.GetProcessSpec().Validate(); err != nil {
		return within("ProcessSpec", err)
	}
	if l := x.GetJournalLimit(); l > maxJournalLimit {
		return invalidField("JournalLimit", "invalid JournalLimit (%d; expected <= %d)", l, maxJournalLimit)
	}
	return nil
}
