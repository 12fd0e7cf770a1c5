package style

import (
	_ "embed" // the lists below
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

//go:embed zones.txt
var zoneList string

//go:embed abbreviations.txt
var abbreviationList string

// Zone is a time zone.
type Zone struct {
	// Name as PostgreSQL shows it.
	Name string
	// Engine is what the engine calls it.
	Engine string
	at     *time.Location
	utc    bool // its offset is always zero
}

// UTC is the zone without an offset.
func UTC() Zone { return Zone{Name: "UTC", Engine: "UTC", at: time.UTC, utc: true} }

// Location has the zone's rules.
func (z Zone) Location() *time.Location { return z.at }

// offset is how far east of UTC the zone is at a time, in seconds, and what that is called.
func (z Zone) offset(seconds int64) (int, string) {
	name, east := time.Unix(seconds, 0).In(z.at).Zone()
	return east, name
}

// offsetOfLocal is the offset of a time that is told as seconds of the zone's own clock. A time that the clock leaves out is taken by
// the offset before the change, one that it has twice by the offset after it.
func (z Zone) offsetOfLocal(local int64) int {
	const day = 24 * 60 * 60
	earlier := time.Unix(local-day, 0).In(z.at)
	_, before := earlier.Zone()
	_, change := earlier.ZoneBounds()
	if change.IsZero() {
		return before
	}
	_, after := change.Zone()
	byBefore, byAfter, boundary := local-int64(before), local-int64(after), change.Unix()
	switch {
	case byBefore < boundary && byAfter < boundary:
		return before
	case byBefore >= boundary && byAfter >= boundary:
		return after
	case byBefore > byAfter: // the clock was put forward
		return before
	default:
		return after
	}
}

// Local takes the fields of a time as those of the zone's own clock.
func (z Zone) Local(t time.Time) time.Time {
	local := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	return local.Add(-time.Duration(z.offsetOfLocal(local.Unix())) * time.Second).In(z.at)
}

// names leads from names in lower case to those of zones.txt.
var names = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for name := range strings.FieldsSeq(zoneList) {
		out[strings.ToLower(name)] = name
	}
	return out
})

// Names of the zones that have one, in order.
func Names() []string { return strings.Fields(zoneList) }

// UnknownZone is a name that isn't that of a zone.
type UnknownZone struct {
	Name string
	Hint string // why one that PostgreSQL knows isn't one here
}

func (e *UnknownZone) Error() string { return fmt.Sprintf("time zone %q not recognized", e.Name) }

// LoadZone finds a zone as SET TIME ZONE names it: by a name, in any case; by hours east of UTC; as INTERVAL 'hh:mm'; or as an abbreviation
// of one's own with hours west of UTC, as UTC+3.
func LoadZone(value string) (Zone, error) {
	if name, ok := names()[strings.ToLower(value)]; ok {
		return named(name)
	}
	if text, ok := intervalOf(value); ok {
		v := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Interval})
		if err := columnar.ParseText(v.Type(), text, v); err != nil {
			return Zone{}, &UnknownZone{Name: value}
		}
		built := v.Vector()
		i := built.Intervals[0]
		if i.Months != 0 || i.Days != 0 {
			return Zone{}, &UnknownZone{Name: value, Hint: "An interval that is a time zone has no months and no days."}
		}
		return fixed(value, "", int(i.Micros/1_000_000))
	}
	if hours, err := strconv.ParseFloat(value, 64); err == nil && math.Abs(hours) <= 168 {
		return fixed(value, "", int(hours*3600))
	}
	return posix(value)
}

// named is a zone of the list.
func named(name string) (Zone, error) {
	at, err := time.LoadLocation(name)
	if err != nil {
		return Zone{}, &UnknownZone{Name: name}
	}
	z := Zone{Name: name, Engine: name, at: at}
	switch name {
	case "UTC", "UCT", "GMT", "GMT0", "GMT+0", "GMT-0", "Greenwich", "Universal", "Zulu":
		z.utc = true
	default:
		rest, isEtc := strings.CutPrefix(name, "Etc/")
		z.utc = isEtc && !strings.ContainsAny(rest, "123456789")
	}
	return z, nil
}

// intervalOf is the text of INTERVAL 'text'.
func intervalOf(value string) (string, bool) {
	const word = "interval"
	if len(value) < len(word) || !strings.EqualFold(value[:len(word)], word) {
		return "", false
	}
	text := strings.TrimSpace(value[len(word):])
	if len(text) < 2 || text[0] != '\'' || text[len(text)-1] != '\'' {
		return "", false
	}
	return text[1 : len(text)-1], true
}

// fixed is a zone that is always so many seconds east of UTC. Without a name it has the one that PostgreSQL makes. The engine has
// those of whole hours.
func fixed(value, name string, east int) (Zone, error) {
	abbreviation, _, _ := strings.Cut(name, "\x00")
	if name == "" {
		sign, turned := byte('+'), byte('-')
		if east < 0 {
			sign, turned = turned, sign
		}
		text := clock(east)
		abbreviation = string(sign) + text
		name = "<" + abbreviation + ">" + string(turned) + text
	} else {
		name = strings.Replace(name, "\x00", "", 1)
		abbreviation = strings.Trim(abbreviation, "<>")
	}
	hours := east / 3600
	if east%3600 != 0 || hours < -12 || hours > 14 {
		return Zone{}, &UnknownZone{Name: value, Hint: "An offset has whole hours here, from -12 to 14. Name the zone of a place, as Asia/Kolkata."}
	}
	engine := "UTC"
	if hours != 0 {
		engine = fmt.Sprintf("Etc/GMT%+d", -hours)
	}
	return Zone{Name: name, Engine: engine, at: time.FixedZone(abbreviation, east)}, nil
}

// clock writes seconds as hours, with minutes and seconds if there are any.
func clock(seconds int) string {
	if seconds < 0 {
		seconds = -seconds
	}
	text := fmt.Sprintf("%02d", seconds/3600)
	if seconds%3600 != 0 {
		text += fmt.Sprintf(":%02d", seconds/60%60)
	}
	if seconds%60 != 0 {
		text += fmt.Sprintf(":%02d", seconds%60)
	}
	return text
}

// posix is a zone by an abbreviation and its hours west of UTC. Rules for a summer time are refused.
func posix(value string) (Zone, error) {
	unknown := &UnknownZone{Name: value}
	upper := strings.ToUpper(value)
	abbreviation, rest := posixName(upper)
	digits := strings.TrimPrefix(strings.TrimPrefix(rest, "+"), "-")
	if abbreviation == "" || rest == "" || len(rest)-len(digits) > 1 {
		return Zone{}, unknown
	}
	west, n := 0, 0
	for part := range strings.SplitSeq(digits, ":") {
		k, err := strconv.Atoi(part)
		if err != nil && n == 0 && strings.Trim(part, "0123456789") != part {
			unknown.Hint = "Rules for a summer time are not supported. Name the zone of a place, as Europe/Berlin."
		}
		if err != nil || n > 2 || k < 0 || n > 0 && k > 59 || n == 0 && k > 167 {
			return Zone{}, unknown
		}
		west += k * []int{3600, 60, 1}[n]
		n++
	}
	if strings.HasPrefix(rest, "-") {
		west = -west
	}
	return fixed(value, abbreviation+"\x00"+rest, -west)
}

// posixName takes the abbreviation off: letters, or what stands in angle brackets.
func posixName(text string) (string, string) {
	if strings.HasPrefix(text, "<") {
		end := strings.IndexByte(text, '>')
		if end < 2 || strings.ContainsFunc(text[1:end], func(c rune) bool {
			return (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '-'
		}) {
			return "", ""
		}
		return text[:end+1], text[end+1:]
	}
	n := 0
	for n < len(text) && text[n] >= 'A' && text[n] <= 'Z' {
		n++
	}
	if n < 3 {
		return "", ""
	}
	return text[:n], text[n:]
}

// abbreviation is one that a time may have behind it: a fixed offset, or what a zone calls itself.
type abbreviation struct {
	east int
	zone string // "" if the offset is always the same
}

var abbreviations = sync.OnceValue(func() map[string]abbreviation {
	out := map[string]abbreviation{}
	for line := range strings.Lines(abbreviationList) {
		words := strings.Fields(line)
		a := abbreviation{}
		if east, err := strconv.Atoi(words[1]); err == nil {
			a.east = east
		} else {
			a.zone = words[1]
		}
		out[strings.ToLower(words[0])] = a
	}
	return out
})

// ZoneOf finds a zone as AT TIME ZONE names it: by an abbreviation first.
func ZoneOf(name string) (Zone, error) {
	a, ok := abbreviations()[strings.ToLower(name)]
	switch {
	case !ok:
		return LoadZone(name)
	case a.zone != "":
		return named(a.zone)
	default:
		return fixed(name, strings.ToUpper(name)+"\x00", a.east)
	}
}
