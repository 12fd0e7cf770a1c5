package codec

import (
	"fmt"
	"strings"

	"broadsheet.dev/broadsheet/protocol"
)

// Extension is what names of files of the codec end in. It is empty for
// GZIP_OFFLOAD_DECOMPRESSION, whose files stores serve as plain content, and for
// codecs that don't exist.
func Extension(c protocol.CompressionCodec) string {
	switch c {
	case protocol.CompressionCodec_NONE:
		return ".raw"
	case protocol.CompressionCodec_GZIP:
		return ".gz"
	case protocol.CompressionCodec_ZSTANDARD:
		return ".zst"
	case protocol.CompressionCodec_SNAPPY:
		return ".sz"
	default:
		return ""
	}
}

// FromExtension is the codec of a file whose name ends in ext, in any case and in
// every spelling that other writers of the layout used.
func FromExtension(ext string) (protocol.CompressionCodec, error) {
	switch strings.ToLower(ext) {
	case ".raw":
		return protocol.CompressionCodec_NONE, nil
	case ".gz", ".gzip":
		return protocol.CompressionCodec_GZIP, nil
	case ".zst", ".zstandard":
		return protocol.CompressionCodec_ZSTANDARD, nil
	case ".sz", ".snappy":
		return protocol.CompressionCodec_SNAPPY, nil
	case "", ".gzod":
		return protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION, nil
	default:
		return protocol.CompressionCodec_INVALID, fmt.Errorf("no codec has the extension %q", ext)
	}
}
