package protocol

import (
	"slices"
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

// What a template sees are plain values made for it, never messages or times as they
// are: it may call any exported method of what it is given, and messages have some
// that change them, as a time has some that make strings of any length.

// postfixSpool is the view of a PostfixSpool.
type postfixSpool struct {
	Journal          string
	Begin, End       int64
	Sum              [20]byte
	CompressionCodec string
	FirstAppendTime  postfixTime
	Registers        postfixLabels
}

// postfixSpec is the view of the spec, both as ".JournalSpec" and at the top level.
// Labels are a list, as in Gazette; ".ValueOf" looks one up.
type postfixSpec struct {
	Name        string
	Replication int32
	postfixLabels
	LabelSet      postfixLabels
	Fragment      postfixFragment
	Flags         string
	MaxAppendRate int64
	Suspend       postfixSuspend
}

type postfixFragment struct {
	Length              int64
	CompressionCodec    string
	Stores              []string
	RefreshInterval     time.Duration
	Retention           time.Duration
	FlushInterval       time.Duration
	PathPostfixTemplate string
}

type postfixSuspend struct {
	Level  string
	Offset int64
}

// postfixLabels is the view of a label set.
type postfixLabels struct{ Labels []postfixLabel }

type postfixLabel struct{ Name, Value string }

func viewLabels(set *LabelSet) postfixLabels {
	var out postfixLabels
	for _, l := range set.GetLabels() {
		out.Labels = append(out.Labels, postfixLabel{Name: l.GetName(), Value: l.GetValue()})
	}
	return out
}

// ValuesOf is that of LabelSet.
func (p postfixLabels) ValuesOf(name string) []string {
	var out []string
	for _, l := range p.Labels {
		if l.Name == name {
			out = append(out, l.Value)
		}
	}
	return out
}

// ValueOf is that of LabelSet.
func (p postfixLabels) ValueOf(name string) string {
	if values := p.ValuesOf(name); len(values) != 0 {
		return values[0]
	}
	return ""
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
	spec := x.postfixSpec()
	var b boundedBuilder
	if err = tpl.Execute(&b, struct {
		Spool       postfixSpool
		JournalSpec postfixSpec
		postfixSpec
	}{spool.view(), spec, spec}); err != nil {
		return "", invalid("%s", err)
	}
	if err = validatePathComponent(b.String(), 0); err != nil {
		return "", within("path postfix", err)
	}
	return b.String(), nil
}

func (p PostfixSpool) view() postfixSpool {
	return postfixSpool{
		Journal:          p.Journal,
		Begin:            p.Begin,
		End:              p.End,
		Sum:              p.Sum,
		CompressionCodec: p.CompressionCodec.String(),
		FirstAppendTime:  postfixTime{p.FirstAppendTime.UTC()},
		Registers:        viewLabels(p.Registers),
	}
}

func (x *JournalSpec) postfixSpec() postfixSpec {
	f, labels := x.GetFragment(), viewLabels(x.GetLabels())
	return postfixSpec{
		Name:          x.GetName(),
		Replication:   x.GetReplication(),
		postfixLabels: labels,
		LabelSet:      labels,
		Fragment: postfixFragment{
			Length:              f.GetLength(),
			CompressionCodec:    f.GetCompressionCodec().String(),
			Stores:              slices.Clone(f.GetStores()),
			RefreshInterval:     f.GetRefreshInterval().AsDuration(),
			Retention:           f.GetRetention().AsDuration(),
			FlushInterval:       f.GetFlushInterval().AsDuration(),
			PathPostfixTemplate: f.GetPathPostfixTemplate(),
		},
		Flags:         x.Flag().String(),
		MaxAppendRate: x.GetMaxAppendRate(),
		Suspend:       postfixSuspend{Level: x.GetSuspend().GetLevel().String(), Offset: x.GetSuspend().GetOffset()},
	}
}
