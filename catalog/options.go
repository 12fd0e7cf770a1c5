package catalog

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// Defaults and bounds of options.
const (
	defaultJournals        = 1
	maxJournals            = 1000 // part-000 to part-999
	defaultFragmentLength  = 64 << 20
	minFragmentLength      = 1 << 10
	maxFragmentLength      = 1 << 34
	defaultFlushInterval   = 10 * time.Minute
	minFlushInterval       = time.Minute
	defaultRefreshInterval = time.Minute
	minRefreshInterval     = time.Second
	maxRefreshInterval     = 24 * time.Hour
)

// Options of a table that makes its journals: those of CREATE TABLE ... WITH. The
// zero value of each is its default.
type Options struct {
	Journals        int                       // 1 to 1000; 0 is 1
	PartitionBy     string                    // a column, "" for none
	Codec           protocol.CompressionCodec // invalid is zstd
	Replication     int                       // 0 is 1; more isn't supported
	Retention       time.Duration             // 0 keeps for ever; more isn't supported
	FragmentLength  int64                     // bytes, 1 KiB to 16 GiB; 0 is 64 MiB
	FlushInterval   time.Duration             // at least 1 minute; 0 is 10 minutes
	RefreshInterval time.Duration             // 1 second to 24 hours; 0 is 1 minute
	Transactional   bool                      // a transaction of such tables is committed as one; asks for ReadsCommitted
	Reads           Reads                     // which lines are shown; zero is all
	UUID            string                    // JSON pointer to that of a line, of ReadsCommitted; "" is /_meta/uuid
	Stores          []string                  // URLs of fragment stores; nil is Config.Stores. SQL writes names, which the caller resolves.
}

// setters read the value of an option as SQL writes it, by the option's name.
var setters = map[string]func(o *Options, value string) error{
	"journals":         func(o *Options, v string) error { return setInt(&o.Journals, v) },
	"partition_by":     func(o *Options, v string) error { o.PartitionBy = v; return nil },
	"codec":            func(o *Options, v string) error { return setCodec(&o.Codec, v) },
	"replication":      func(o *Options, v string) error { return setInt(&o.Replication, v) },
	"retention":        func(o *Options, v string) error { return setRetention(&o.Retention, v) },
	"fragment_length":  func(o *Options, v string) error { return setSize(&o.FragmentLength, v) },
	"flush_interval":   func(o *Options, v string) error { return setInterval(&o.FlushInterval, v) },
	"refresh_interval": func(o *Options, v string) error { return setInterval(&o.RefreshInterval, v) },
	"transactional":    func(o *Options, v string) error { return setBool(&o.Transactional, v) },
	"reads":            func(o *Options, v string) error { return setReads(&o.Reads, v) },
	"uuid":             func(o *Options, v string) error { return setPointer(&o.UUID, v) },
	"stores":           func(o *Options, v string) error { return setNames(&o.Stores, v) },
}

// ParseOptions reads options from their SQL names and the text of their values. An
// unknown name and a value that can't be read are an Error with the option's name.
func ParseOptions(values map[string]string) (Options, error) {
	var o Options
	for _, name := range slices.Sorted(maps.Keys(values)) {
		set, ok := setters[name]
		if !ok {
			return Options{}, &Error{
				Code: ErrInvalid, Kind: "option", Name: name, Detail: "there is no such option",
				Hint: "Options are " + strings.Join(slices.Sorted(maps.Keys(setters)), ", ") + ".",
			}
		}
		if err := set(&o, values[name]); err != nil {
			return Options{}, &Error{Code: ErrInvalid, Kind: "option", Name: name, Err: err}
		}
	}
	return o, nil
}

// firstSet is the name of an option about journals that isn't its zero value, or "".
func (o Options) firstSet() string {
	for _, s := range []struct {
		name string
		set  bool
	}{
		{"journals", o.Journals != 0},
		{"partition_by", o.PartitionBy != ""},
		{"codec", o.Codec != 0},
		{"replication", o.Replication != 0},
		{"retention", o.Retention != 0},
		{"fragment_length", o.FragmentLength != 0},
		{"flush_interval", o.FlushInterval != 0},
		{"refresh_interval", o.RefreshInterval != 0},
		{"transactional", o.Transactional},
		{"stores", o.Stores != nil},
	} {
		if s.set {
			return s.name
		}
	}
	return ""
}

func (o Options) withDefaults(stores []string) Options {
	setDefault(&o.Journals, defaultJournals)
	setDefault(&o.Codec, protocol.CompressionCodec_ZSTANDARD)
	setDefault(&o.Replication, 1)
	setDefault(&o.FragmentLength, defaultFragmentLength)
	setDefault(&o.FlushInterval, defaultFlushInterval)
	setDefault(&o.RefreshInterval, defaultRefreshInterval)
	if o.Stores == nil {
		o.Stores = stores
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate checks the values, and that what isn't acted on isn't asked for.
func (o Options) validate(columns map[string]bool) error {
	bad := func(name, format string, args ...any) error {
		return &Error{Code: ErrInvalid, Kind: "option", Name: name, Detail: fmt.Sprintf(format, args...)}
	}
	missing := func(name, detail, hint string) error {
		return &Error{Code: ErrUnsupported, Kind: "option", Name: name, Detail: detail, Hint: hint}
	}
	d := o.withDefaults(nil)
	switch {
	case d.Replication < 1:
		return bad("replication", "%d is below 1", o.Replication)
	case d.Replication > 1:
		return missing("replication", "more than one replica", "Leave it out, or set it to 1.")
	case d.Retention < 0:
		return bad("retention", "%v is negative", o.Retention)
	case d.Retention > 0:
		return missing("retention", "rows are kept for ever", "Leave it out, or set it to 'forever'.")
	case d.Journals < 1 || d.Journals > maxJournals:
		return bad("journals", "%d is not between 1 and %d", o.Journals, maxJournals)
	case o.PartitionBy != "" && !columns[o.PartitionBy]:
		return bad("partition_by", "the table has no column %q", o.PartitionBy)
	case codecNames[d.Codec] == "":
		return bad("codec", "%v is not one of %s", o.Codec, listCodecs())
	case d.FragmentLength < minFragmentLength || d.FragmentLength > maxFragmentLength:
		return bad("fragment_length", "%d is not between %d and %d bytes", o.FragmentLength, minFragmentLength, int64(maxFragmentLength))
	case d.FlushInterval < minFlushInterval:
		return bad("flush_interval", "%v is less than %v", o.FlushInterval, minFlushInterval)
	case d.RefreshInterval < minRefreshInterval || d.RefreshInterval > maxRefreshInterval:
		return bad("refresh_interval", "%v is not between %v and %v", o.RefreshInterval, minRefreshInterval, maxRefreshInterval)
	}
	for _, store := range o.Stores {
		if _, err := protocol.ParseFragmentStore(store); err != nil {
			return &Error{Code: ErrInvalid, Kind: "option", Name: "stores", Err: err}
		}
	}
	return nil
}

// codecNames are the codecs that a table may have, as SQL and entries write them.
var codecNames = map[protocol.CompressionCodec]string{
	protocol.CompressionCodec_NONE:      "none",
	protocol.CompressionCodec_GZIP:      "gzip",
	protocol.CompressionCodec_ZSTANDARD: "zstd",
	protocol.CompressionCodec_SNAPPY:    "snappy",
}

func listCodecs() string { return strings.Join(slices.Sorted(maps.Values(codecNames)), ", ") }

func setCodec(field *protocol.CompressionCodec, value string) error {
	for codec, name := range codecNames {
		if strings.EqualFold(name, value) {
			*field = codec
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", value, listCodecs())
}

// setInt reads a number of things, at least one: zero is how a default is written.
func setInt(field *int, value string) error {
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not a number of 1 or more", value)
	}
	*field = n
	return nil
}

// setNames reads names between commas. What isn't one, such as a URL, is refused: which stores there are is the operator's to say.
func setNames(field *[]string, value string) error {
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if name == "" || strings.ContainsAny(name, ":/?") {
			return fmt.Errorf("%q is not the name of a store", name)
		}
		if slices.Contains(*field, name) {
			return fmt.Errorf("%q is named twice", name)
		}
		*field = append(*field, name)
	}
	return nil
}

func setBool(field *bool, value string) error {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "on", "yes", "1":
		*field = true
	case "false", "off", "no", "0":
		*field = false
	default:
		return fmt.Errorf("%q is not true or false", value)
	}
	return nil
}

func setRetention(field *time.Duration, value string) error {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "forever", "for ever", "infinity":
		*field = 0
		return nil
	}
	return setInterval(field, value)
}

// splitQuantity cuts a number off the front of s, and the letters that follow it.
func splitQuantity(s string) (string, string, string) {
	s = strings.TrimSpace(s)
	isUnit := func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		i = len(s)
	}
	number, rest := s[:i], strings.TrimSpace(s[i:])
	j := strings.IndexFunc(rest, func(r rune) bool { return !isUnit(r) })
	if j < 0 {
		j = len(rest)
	}
	return number, strings.ToLower(rest[:j]), strings.TrimSpace(rest[j:])
}

var intervalUnits = map[string]time.Duration{
	"ms": time.Millisecond, "millisecond": time.Millisecond,
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
}

// setInterval reads quantities as "10 minutes", "1 hour 30 min" or "90s", of units
// that always last the same.
func setInterval(field *time.Duration, value string) error {
	total, rest := 0.0, value
	for again := true; again; again = rest != "" {
		var number, name string
		number, name, rest = splitQuantity(rest)
		unit, ok := intervalUnits[name]
		if !ok {
			unit, ok = intervalUnits[strings.TrimSuffix(name, "s")]
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !ok {
			return fmt.Errorf("%q is not an interval of weeks, days, hours, minutes and seconds", value)
		}
		total += n * float64(unit)
	}
	if total < 1 || total > math.MaxInt64/2 {
		return fmt.Errorf("%q is out of range", value)
	}
	*field = time.Duration(total)
	return nil
}

var sizeUnits = map[string]int64{
	"": 1, "b": 1, "kb": 1 << 10, "kib": 1 << 10, "mb": 1 << 20, "mib": 1 << 20, "gb": 1 << 30, "gib": 1 << 30,
}

// setSize reads a number of bytes as "64MB" or "67108864". As in PostgreSQL, a kB is 1024 bytes.
func setSize(field *int64, value string) error {
	number, name, rest := splitQuantity(value)
	unit, ok := sizeUnits[name]
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !ok || rest != "" || n < 1 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size in B, kB, MB or GB", value)
	}
	*field = n * unit
	return nil
}
