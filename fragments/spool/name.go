package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Names of files and directories. docs/format/spool.md has them.
const (
	formatFile = "FORMAT"
	diskFile   = "DISK"
	newSuffix  = ".new"       // A file that isn't whole yet: debris, if a crash left it.
	goneSuffix = ".discarded" // A directory that Discard has begun to remove.
	dataSuffix = ".data"
	logSuffix  = ".log"
)

// maxReadable bounds the readable head of a journal's directory name, in bytes.
const maxReadable = 64

// dirName is the directory of a journal, relative to Dir: a readable head for
// people, then what makes it unique: the create revision and a hash of the name.
// The log header has the true name, which is compared.
func dirName(id ID) string {
	head := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		default:
			return '_'
		}
	}, id.Journal)
	sum := sha256.Sum256([]byte(id.Journal))
	return fmt.Sprintf("%s.%016x.%s", head[:min(len(head), maxReadable)], uint64(id.CreateRevision), hex.EncodeToString(sum[:16]))
}

// isDirName tells whether name may be one that dirName gave.
func isDirName(name string) bool {
	parts := strings.Split(name, ".")
	return len(parts) == 3 && len(parts[0]) <= maxReadable && isHex(parts[1], 16) && isHex(parts[2], 32)
}

func isHex(s string, length int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == length && s == strings.ToLower(s)
}

func dataName(begin int64) string { return fmt.Sprintf("%016x%s", begin, dataSuffix) }
func logName(begin int64) string  { return fmt.Sprintf("%016x%s", begin, logSuffix) }

// parseFileName returns the begin offset and the suffix of a file's name, and
// whether it is one of a spool's.
func parseFileName(name string) (int64, string, bool) {
	head, rest, ok := strings.Cut(name, ".")
	if !ok || !isHex(head, 16) {
		return 0, "", false
	}
	begin, err := strconv.ParseInt(head, 16, 64)
	if err != nil {
		return 0, "", false
	}
	switch suffix := "." + rest; suffix {
	case dataSuffix, logSuffix, logSuffix + newSuffix:
		return begin, suffix, true
	default:
		return 0, "", false
	}
}
