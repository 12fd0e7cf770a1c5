package sqlgw

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/protocol"
)

// proven makes the proof of some content.
func proven(i int64) provenFragment {
	return provenFragment{
		proofKey{sum: [20]byte{byte(i), 0xab, 19: 0xcd}, begin: i * 100, end: i*100 + 300, schema: 0x1122334455667788},
		columnar.Proof{Schema: 0x1122334455667788, Length: 300, Rows: 7, EndsInNewline: true, Clean: true},
	}
}

// reopen reads a directory's file, and leaves it open.
func reopen(t *testing.T, dir string, l *logLines) (*proofFile, []provenFragment) {
	t.Helper()
	var got []provenFragment
	p := openProofFile(t.Context(), dir, l.logger(), func(k proofKey, proof columnar.Proof) { got = append(got, provenFragment{k, proof}) })
	t.Cleanup(p.close)
	return p, got
}

func nothing() []provenFragment { return nil }

func TestProofsOutliveTheProcess(t *testing.T) {
	var l logLines
	dir := filepath.Join(t.TempDir(), "made", "for it")
	f, path := storedFile(t, "{\"a\":1}\n", protocol.CompressionCodec_NONE)
	require.True(t, ask(t, newProofs(l.logger(), dir), f, path).Clean)
	require.NoError(t, os.Remove(path))
	again := newProofs(l.logger(), dir)
	require.True(t, ask(t, again, f, path).Clean, "proven without the file")
	require.Zero(t, l.count())
}

// TestProofFileIsOfTheDocumentedForm: docs/format/proofs.md has a whole file in hexadecimal.
func TestProofFileIsOfTheDocumentedForm(t *testing.T) {
	page, err := os.ReadFile("../docs/format/proofs.md")
	require.NoError(t, err)
	_, block, found := strings.Cut(string(page), "\n```hex\n")
	require.True(t, found)
	block, _, _ = strings.Cut(block, "\n```\n")
	var want []byte
	for line := range strings.Lines(block) {
		digits, _, _ := strings.Cut(line, "  ")
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		require.NoError(t, err, line)
		want = append(want, b...)
	}
	var l logLines
	dir := t.TempDir()
	p, got := reopen(t, dir, &l)
	require.Empty(t, got)
	p.add(t.Context(), proven(1).key, proven(1).proof, nothing)
	p.close()
	written, err := os.ReadFile(filepath.Join(dir, proofFileName))
	require.NoError(t, err)
	require.Equal(t, hex.Dump(want), hex.Dump(written))
	_, got = reopen(t, dir, &l)
	require.Equal(t, []provenFragment{proven(1)}, got)
	require.Zero(t, l.count())
}

// TestProofFileCutAnywhere: whatever is left of the last records, those before it are read, the
// log has one line, and what is added afterwards is found.
func TestProofFileCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, proofFileName)
	p, _ := reopen(t, dir, new(logLines))
	p.add(t.Context(), proven(1).key, proven(1).proof, nothing)
	first, err := os.Stat(path)
	require.NoError(t, err)
	p.add(t.Context(), proven(2).key, proven(2).proof, nothing)
	p.close()
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range len(whole) {
		var l logLines
		require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
		p, got := reopen(t, dir, &l)
		want := []provenFragment{}
		if int64(n) >= first.Size() {
			want = append(want, proven(1))
		}
		require.ElementsMatch(t, want, got, n)
		cut := n != 0 && int64(n) != first.Size() && n != len(proofMagic)+1
		require.Equal(t, map[bool]int{true: 1}[cut], l.count(), "%d: %s", n, l.out.String())
		p.add(t.Context(), proven(3).key, proven(3).proof, nothing)
		p.close()
		_, got = reopen(t, dir, new(logLines))
		require.ElementsMatch(t, append(want, proven(3)), got, n)
	}
}

// TestProofFileWithFlippedBits: no bit flipped makes another proof of it.
func TestProofFileWithFlippedBits(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, proofFileName)
	p, _ := reopen(t, dir, new(logLines))
	p.add(t.Context(), proven(1).key, proven(1).proof, nothing)
	p.close()
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range whole {
		for bit := range 8 {
			harmed := append([]byte(nil), whole...)
			harmed[i] ^= 1 << bit
			require.NoError(t, os.WriteFile(path, harmed, 0o600))
			var l logLines
			p, got := reopen(t, dir, &l)
			require.Empty(t, got, "byte %d", i)
			require.Equal(t, 1, l.count())
			p.close()
		}
	}
}

// TestProofFileOfANewerVersion: it isn't read and not changed, and the process goes on without.
func TestProofFileOfANewerVersion(t *testing.T) {
	for name, content := range map[string]string{"newer": proofMagic + "\x02what this is", "something else": "precious text"} {
		var l logLines
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, proofFileName), []byte(content), 0o600))
		p, got := reopen(t, dir, &l)
		require.Nil(t, p, name)
		require.Empty(t, got)
		p.add(t.Context(), proven(1).key, proven(1).proof, nothing)
		kept, err := os.ReadFile(filepath.Join(dir, proofFileName))
		require.NoError(t, err)
		require.Equal(t, content, string(kept))
		require.Equal(t, 1, l.count())
	}
}

// TestProofsByOtherRulesAreMadeAnew: a record with a proof of another version is passed over.
func TestProofsByOtherRulesAreMadeAnew(t *testing.T) {
	_, ok := decodeProof(append(make([]byte, proofKeyLength), 0x7f, 0))
	require.False(t, ok)
	other := proven(1)
	other.key.end++
	record, err := appendProofRecord(nil, other)
	require.NoError(t, err)
	_, ok = decodeProof(record[proofHeader:])
	require.False(t, ok, "a proof of another length")
}

// TestProofFileIsBounded: once too much of it is of no use, it is written anew.
func TestProofFileIsBounded(t *testing.T) {
	var l logLines
	dir := t.TempDir()
	p, _ := reopen(t, dir, &l)
	p.most = 10
	for i := range int64(100) {
		p.add(t.Context(), proven(i).key, proven(i).proof, func() []provenFragment { return []provenFragment{proven(i - 1), proven(i)} })
		require.LessOrEqual(t, p.records, 10)
	}
	p.close()
	info, err := os.Stat(filepath.Join(dir, proofFileName))
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(11*(proofHeader+maxProofBody)))
	_, got := reopen(t, dir, &l)
	require.Equal(t, proven(99), got[len(got)-1])
	require.Zero(t, l.count())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
}

// TestProofFileStaysIfAnotherCantBeWritten: what isn't whole doesn't take the place of what is.
func TestProofFileStaysIfAnotherCantBeWritten(t *testing.T) {
	const full = "/dev/full" // of Linux
	if _, err := os.Stat(full); err != nil {
		t.Skip("not run: " + full + " missing")
	}
	var l logLines
	dir := t.TempDir()
	p, _ := reopen(t, dir, &l)
	p.most = 1
	require.NoError(t, os.Symlink(full, p.path+".new"))
	for i := range int64(2) {
		p.add(t.Context(), proven(i).key, proven(i).proof, func() []provenFragment { return []provenFragment{proven(i)} })
	}
	require.Equal(t, 1, l.count(), l.out.String())
	_, got := reopen(t, dir, &l)
	require.Equal(t, []provenFragment{proven(0), proven(1)}, got)
	require.NoFileExists(t, p.path+".new")
}

// TestProofFileThatCantBeWritten: the log says so once, and statements go on.
func TestProofFileThatCantBeWritten(t *testing.T) {
	var l logLines
	p, _ := reopen(t, t.TempDir(), &l)
	require.NoError(t, p.file.Close())
	for range 3 {
		p.add(t.Context(), proven(1).key, proven(1).proof, nothing)
	}
	require.Equal(t, 1, l.count())

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	none, _ := reopen(t, file, &l)
	require.Nil(t, none)
	require.Equal(t, 2, l.count())
}
