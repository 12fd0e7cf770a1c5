package style_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// drawn is any style but for digits of floats, whose texts mean other values, in zones whose abbreviations say one offset.
func drawn(t *rapid.T) *style.Style {
	s := style.Default()
	zone, err := style.LoadZone(rapid.SampledFrom([]string{"UTC", "<-07>+07", "<+05>-05", "Etc/GMT-14", "America/Lima", "GMT"}).Draw(t, "zone"))
	require.NoError(t, err)
	s.Zone = zone
	s.SetDateStyle(rapid.SampledFrom([]string{"ISO", "SQL", "Postgres", "German"}).Draw(t, "dates"))
	if s.Dates != style.German { // which is written as DMY whatever it is read as
		s.SetDateStyle(rapid.SampledFrom([]string{"MDY", "DMY"}).Draw(t, "order"))
	}
	s.SetIntervalStyle(rapid.SampledFrom([]string{"postgres", "postgres_verbose", "sql_standard", "iso_8601"}).Draw(t, "intervals"))
	s.EscapeBytea = rapid.Bool().Draw(t, "escape")
	return s
}

// TestReadsWhatItWrites: what a style writes it reads as the same value.
func TestReadsWhatItWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawn(t)
		kind := rapid.SampledFrom([]columnar.Kind{columnar.Date, columnar.Timestamp, columnar.TimestampTZ, columnar.Interval, columnar.Bytea}).Draw(t, "kind")
		b := columnar.NewVectorBuilder(columnar.Type{Kind: kind})
		switch kind {
		case columnar.Date:
			b.AppendInt32(rapid.Int32Range(-2_000_000, 2_000_000).Draw(t, "days"))
		case columnar.Timestamp, columnar.TimestampTZ:
			b.AppendInt64(rapid.Int64Range(0, 4_000_000_000_000_000).Draw(t, "micros"))
		case columnar.Interval:
			b.AppendInterval(columnar.IntervalValue{
				Months: rapid.Int32Range(-1000, 1000).Draw(t, "months"), Days: rapid.Int32Range(-1000, 1000).Draw(t, "days"), Micros: rapid.Int64Range(-1e12, 1e12).Draw(t, "micros"),
			})
		default:
			b.AppendBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		}
		v := b.Vector()
		text := string(s.Append(nil, &v, 0))
		again, err := read(s, b.Type(), text)
		require.NoError(t, err, text)
		require.Equal(t, string(columnar.AppendText(nil, &v, 0)), string(columnar.AppendText(nil, &again, 0)), text)
	})
}

// TestZonesAreKnown: every name in the list is a zone's, and keys lead back to it.
func TestZonesAreKnown(t *testing.T) {
	for _, name := range style.Names() {
		z, err := style.LoadZone(name)
		require.NoError(t, err)
		require.Equal(t, name, z.Name)
		s := style.Default()
		s.Zone = z
		again, err := style.FromKey(s.Key())
		require.NoError(t, err)
		require.Equal(t, s.Key(), again.Key())
	}
}

// FuzzRead: no text breaks the reader, and what it takes has a form that is read as the same.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"2024-07-01 12:00", "Jan 5 2024 3:04 PM PST", "1/2/99", "20240701T120000+02", "0044-03-15 BC", "@ 1 day ago", "{a,b}", "tomorrow"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := style.Default()
		s.Zone, _ = style.LoadZone("Europe/Berlin")
		s.SetDateStyle("SQL, DMY")
		for _, kind := range []columnar.Kind{columnar.Date, columnar.Time, columnar.Timestamp, columnar.TimestampTZ, columnar.Interval} {
			typ := columnar.Type{Kind: kind}
			v, err := read(s, typ, text)
			if err != nil {
				continue
			}
			plain := string(columnar.AppendText(nil, &v, 0))
			again, err := read(s, typ, plain)
			require.NoError(t, err, "%q is %q", text, plain)
			require.Equal(t, plain, string(columnar.AppendText(nil, &again, 0)), "%q", text)
		}
		_, _ = style.LoadZone(text)
		_, _ = style.ZoneOf(text)
	})
}
