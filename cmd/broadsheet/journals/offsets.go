package journals

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
)

// readOffsets reads a file of offsets by journal; none if it has no name.
func readOffsets(name string) (map[string]int64, error) {
	out := map[string]int64{}
	if name == "" {
		return out, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--offsets: %w", err)
	}
	fail := func(err error) (map[string]int64, error) {
		return nil, speech.WithHint(fmt.Errorf("--offsets %s: %w", name, err), `it is written as {"acme/rides": 1234}`)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&out); err != nil {
		return fail(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fail(errors.New("it has more than one JSON value"))
	}
	for journal, offset := range out {
		if err := protocol.ValidateJournalName(journal); err != nil {
			return fail(fmt.Errorf("journal %q: %w", journal, err))
		}
		if offset < 0 {
			return fail(fmt.Errorf("%s: offset is %d", journal, offset))
		}
	}
	return out, nil
}

// writeOffsets writes a file of offsets, in place of one that is there, unless it has no name.
func writeOffsets(name string, offsets map[string]int64) error {
	if name == "" {
		return nil
	}
	text, err := json.MarshalIndent(offsets, "", "  ")
	if err != nil {
		return fmt.Errorf("--offsets-out: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("--offsets-out: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("--offsets-out: %w", err)
	}
	return nil
}
