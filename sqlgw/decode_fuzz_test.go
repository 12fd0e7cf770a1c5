package sqlgw

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// FuzzProofFile: of any file as many records are taken as are whole, and those are written as they were read.
func FuzzProofFile(f *testing.F) {
	head := append([]byte(proofMagic), proofFileVersion)
	record, err := appendProofRecord(nil, provenFragment{
		key:   proofKey{sum: [20]byte{1, 2, 3}, begin: 10, end: 30, schema: 7},
		proof: columnar.Proof{Schema: 7, Length: 20, Rows: 2, Clean: true, EndsInNewline: true},
	})
	require.NoError(f, err)
	f.Add(head, false)
	f.Add(append(bytes.Clone(head), record...), false)
	f.Add(append(bytes.Clone(head), record[proofHeader:]...), true)
	f.Add(append(append(bytes.Clone(head), record...), record[:9]...), false)
	f.Fuzz(func(t *testing.T, file []byte, body bool) {
		if body { // only what a checksum keeps from being looked at
			if len(file) >= proofKeyLength {
				found, ok := decodeProof(file)
				requireProofs(t, map[bool][]provenFragment{true: {found}}[ok])
			}
			return
		}
		var found []provenFragment
		whole, err := (&proofFile{}).load(bytes.NewReader(file), func(k proofKey, p columnar.Proof) { found = append(found, provenFragment{k, p}) })
		require.LessOrEqual(t, whole, int64(len(file)))
		if err == nil {
			requireProofs(t, found)
		}
	})
}

// requireProofs: they can be written, and are the same when they are read.
func requireProofs(t *testing.T, proofs []provenFragment) {
	t.Helper()
	for _, p := range proofs {
		record, err := appendProofRecord(nil, p)
		require.NoError(t, err)
		again, ok := decodeProof(record[proofHeader:])
		require.True(t, ok)
		require.Equal(t, p, again)
	}
}

// FuzzSetting: any text is a value of a setting in its normal form, or is refused; what is normal stays as it is, and can be sent.
func FuzzSetting(f *testing.F) {
	table := settingTable()
	for i := range table {
		for _, v := range []string{"on", "1", "10min", "-1", `"a", b`, "ISO, MDY", "utf8", "1:a/b=7", "strict", "max 5s"} {
			f.Add(uint8(i), v)
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, value string) {
		e := &table[int(i)%len(table)]
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) { // pgwire lets no such through
			return
		}
		normal, err := e.normal(value)
		if err != nil {
			require.True(t, isWire(err), "%s: %v", e.name, err)
			return
		}
		require.True(t, utf8.ValidString(normal), "%s: %q", e.name, normal)
		again, err := e.normal(normal)
		require.NoError(t, err, "%s: %q is normal", e.name, normal)
		require.Equal(t, normal, again, e.name)
	})
}

// FuzzStartOptions: the words of a command line, however they are quoted, are the same when they are written again.
func FuzzStartOptions(f *testing.F) {
	for _, o := range []string{"-c a=b", "--a-b=c", `-ca=b\ c`, "-c", "--=", `\`, "-c a=b -c a=c", "x"} {
		f.Add(o)
	}
	f.Fuzz(func(t *testing.T, options string) {
		values, err := commandLine(options)
		if err != nil {
			require.True(t, isWire(err), "%v", err)
			return
		}
		escape := strings.NewReplacer(`\`, `\\`, " ", `\ `, "\t", "\\\t", "\n", "\\\n", "\r", "\\\r", "\v", "\\\v", "\f", "\\\f")
		var again strings.Builder
		for name, value := range values {
			require.NotEmpty(t, name)
			again.WriteString(" -c " + escape.Replace(name) + "=" + escape.Replace(value))
		}
		got, err := commandLine(again.String())
		require.NoError(t, err)
		require.Equal(t, values, got)
	})
}
