package protocol

import (
	"time"
)

// PostfixSpool is what a path postfix template knows of the fragment that is
// persisted, as ".Spool".
type PostfixSpool struct {
	// Journal of the fragment.
	Journal string
	// Begin and End offsets of the fragment.
	Begin, End int64
	// Sum of the uncompressed content.
	Sum [20]byte
	// CompressionCodec of the stored file.
	CompressionCodec CompressionCodec
	// FirstAppendTime is when the first append to the fragment committed, in UTC.
	FirstAppendTime time.Time
	// Registers of the journal when the fragment ended; nil if it has none.
	Registers Registers
}

// postfixSpool is a PostfixSpool whose time is bounded.
type postfixSpool struct {
	PostfixSpool
	FirstAppendTime postfixTime
}

// postfixSpec is what a template knows of the spec, both as ".JournalSpec" and at
// the top level. Labels are a list, as in Gazette; ".LabelSet.ValueOf" and
// ".ValueOf" look one up.
type postfixSpec struct {
	Name        string
	Replication int32
	*LabelSet
	Fragment      postfixFragment
	Flags         JournalSpec_Flag
	MaxAppendRate int64
	Suspend       *JournalSpec_Suspend
}

type postfixFragment struct {
	Length              int64
	CompressionCodec    CompressionCodec
	Stores              []string
	RefreshInterval     time.Duration
	Retention           time.Duration
	FlushInterval       time.Duration
	PathPostfixTemplate string
}

// PathPostfix evaluates the spec's path postfix template, as of Go's text/template,
// over ".Spool" and the spec. It returns "" if there's no template. A result that
// isn't a clean, relative path of journal-name runes is an error.
func (x *JournalSpec) PathPostfix(spool PostfixSpool) (string, error) {
	text := x.GetFragment().GetPathPostfixTemplate()
	if text == "" {
		return "", nil
	}
	tpl, err := parsePostfix(text)
	if err != nil {
		return "", err
	}
	if spool.Registers == nil {
		spool.Registers = new(LabelSet)
	}
	spec := x.postfixSpec()

	var b boundedBuilder
	if err = tpl.Execute(&b, struct {
		Spool       postfixSpool
		JournalSpec postfixSpec
		postfixSpec
	}{postfixSpool{spool, postfixTime{spool.FirstAppendTime.UTC()}}, spec, spec}); err != nil {
		return "", invalid("%s", err)
	}
	if err = validatePathComponent(b.String(), 0); err != nil {
		return "", within("path postfix", err)
	}
	return b.String(), nil
}

func (x *JournalSpec) postfixSpec() postfixSpec {
	labels := x.GetLabels()
	if labels == nil {
		labels = new(LabelSet)
	}
	f := x.GetFragment()
	return postfixSpec{
		Name:        x.GetName(),
		Replication: x.GetReplication(),
		LabelSet:    labels,
		Fragment: postfixFragment{
			Length:              f.GetLength(),
			CompressionCodec:    f.GetCompressionCodec(),
			Stores:              f.GetStores(),
			RefreshInterval:     f.GetRefreshInterval().AsDuration(),
			Retention:           f.GetRetention().AsDuration(),
			FlushInterval:       f.GetFlushInterval().AsDuration(),
			PathPostfixTemplate: f.GetPathPostfixTemplate(),
		},
		Flags:         x.Flag(),
		MaxAppendRate: x.GetMaxAppendRate(),
		Suspend:       x.GetSuspend(),
	}
}
