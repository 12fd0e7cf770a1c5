package columnar

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/testenv"
)

// describe is a type in one line, or why there is none.
func describe(t Type, err error) string {
	if e, ok := errors.AsType[*TypeError](err); ok {
		return strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Code, e.Message, e.Hint))
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s kind=%v oid=%d size=%d typmod=%d duckdb=%s", t.SQL(), t.Kind, t.OID(), t.TypeSize(), t.TypMod(), t.DuckDB())
}

// TestTypes runs testdata/types: each line of a block is a type, with its modifiers as
// the grammar gives them after a bar.
func TestTypes(t *testing.T) {
	datadriven.RunTest(t, "testdata/types", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for l := range strings.SplitSeq(d.Input, "\n") {
			name, list, _ := strings.Cut(l, " | ")
			var mods []int32
			for f := range strings.FieldsSeq(list) {
				n, err := strconv.ParseInt(f, 10, 32)
				require.NoError(t, err)
				mods = append(mods, int32(n))
			}
			typ, err := Type{}, error(nil)
			switch d.Cmd {
			case "sql":
				typ, err = TypeFromSQL(name, mods)
			case "oid":
				oid, oidErr := strconv.ParseUint(name, 10, 32)
				require.NoError(t, oidErr)
				typ, err = TypeFromOID(uint32(oid), mods[0])
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			fmt.Fprintf(&out, "%s: %s\n", l, describe(typ, err))
			if err != nil {
				continue
			}
			require.NoError(t, typ.Validate())
			again, err := TypeFromSQL(typ.SQL(), nil)
			require.NoError(t, err)
			require.Equal(t, typ, again)
			again, err = TypeFromOID(typ.OID(), typ.TypMod())
			require.NoError(t, err)
			require.Equal(t, typ, again)
		}
		return out.String()
	})
}

func TestTypeValidate(t *testing.T) {
	for _, typ := range allTypes() {
		require.NoError(t, typ.Validate(), typ)
		require.True(t, typ.CleanReadable(), typ)
		require.Equal(t, typ.SQL(), fmt.Sprint(typ))
	}
	for _, typ := range []Type{
		{},
		{Kind: JSONB + 1},
		{Kind: Decimal},
		{Kind: Decimal, Precision: 39},
		{Kind: Decimal, Precision: 3, Scale: 4},
		{Kind: Text, Length: 1},
		{Kind: Int32, Precision: 1},
		{Kind: Varchar, Length: -1},
		{Kind: Char, Length: MaxLength + 1},
	} {
		require.Error(t, typ.Validate(), "%#v", typ)
	}
	require.Equal(t, "Kind(99)", Kind(99).String())
	require.False(t, Type{}.CleanReadable())
}

func TestSchemaValidate(t *testing.T) {
	schema := func(names ...string) Schema {
		var s Schema
		for _, n := range names {
			s.Columns = append(s.Columns, Column{Name: n, Type: Type{Kind: Text}})
		}
		return s
	}
	require.NoError(t, schema().Validate())
	require.NoError(t, schema("a", "A", "é").Validate())
	require.ErrorContains(t, schema("a", "a").Validate(), `another "a"`)
	require.ErrorContains(t, schema("").Validate(), "no name")
	require.ErrorContains(t, schema("a\xff").Validate(), "UTF8")
	require.ErrorContains(t, Schema{Columns: []Column{{Name: "a"}}}.Validate(), `column 0 "a"`)

	require.True(t, schema("a", "b").CleanReadable())
	require.False(t, schema("a", "A").CleanReadable(), "DuckDB takes the names for the same")
	require.False(t, schema().CleanReadable(), "DuckDB has no tables without columns")
}

func TestFingerprint(t *testing.T) {
	s := Schema{Columns: []Column{{Name: "a", Type: Type{Kind: Decimal, Precision: 12, Scale: 2}, NotNull: true}, {Name: "b", Type: Type{Kind: Varchar, Length: 7}}}}
	require.Equal(t, uint64(0x8f4a89deec36d2a9), s.Fingerprint(), "proofs on disk hold it")
	seen := map[uint64]bool{s.Fingerprint(): true}
	for _, change := range []func(c *Column){
		func(c *Column) { c.Name = "c" },
		func(c *Column) { c.NotNull = !c.NotNull },
		func(c *Column) { c.Type.Kind = Text },
		func(c *Column) { c.Type.Precision++ },
		func(c *Column) { c.Type.Scale++ },
		func(c *Column) { c.Type.Length++ },
	} {
		for i := range s.Columns {
			other := Schema{Columns: append([]Column(nil), s.Columns...)}
			change(&other.Columns[i])
			require.False(t, seen[other.Fingerprint()])
			seen[other.Fingerprint()] = true
		}
	}
	s.Version++
	require.True(t, seen[s.Fingerprint()], "the version isn't part of it")
}

// TestTypeNames: what marks arrays may be there again and again, and names are bounded whatever they are made of.
func TestTypeNames(t *testing.T) {
	for name, want := range map[string]Type{
		"int4[]":                          ArrayOf(Type{Kind: Int32}),
		"___int4[][] array":               ArrayOf(Type{Kind: Int32}),
		"pg_catalog._varchar(7)":          ArrayOf(Type{Kind: Varchar, Length: 7}),
		"numeric(10, 2) array[] ":         ArrayOf(Type{Kind: Decimal, Precision: 10, Scale: 2}),
		strings.Repeat("_", 252) + "int4": ArrayOf(Type{Kind: Int32}),
	} {
		typ, err := TypeFromSQL(name, nil)
		require.NoError(t, err, name)
		require.Equal(t, want, typ, name)
	}
	_, err := TypeFromSQL("nonsense[][]", nil)
	require.EqualError(t, err, `type "nonsense" does not exist`)
	start := testenv.Processor(t)
	for _, mark := range []string{"_", "[]", " array", "é"} {
		many := strings.Repeat(mark, 1<<20)
		for _, name := range []string{many + "int4", "int4" + many} {
			_, err := TypeFromSQL(name, nil)
			require.ErrorContains(t, err, "a type's name has 256 bytes at the most, not ")
		}
	}
	require.Less(t, testenv.Processor(t)-start, 5*time.Second)
}
