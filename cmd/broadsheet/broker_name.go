package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/internal/durable"
	"broadsheet.dev/broadsheet/protocol"
)

// nameFile of a broker's directory has the zone and the id that its spools are known by: the
// epochs of journals name them, and would look for them in vain under other names.
const nameFile = "NAME"

// brokerID returns the identity of the broker whose directory this is. At the first start its id is the one which
// is asked for, or one that is made up; then it stays, and another is refused.
func brokerID(dir string, f *flags.Process) (*protocol.ProcessSpec_ID, error) {
	path := filepath.Join(dir, nameFile)
	text, err := os.ReadFile(path)
	if err == nil {
		zone, kept, ok := strings.Cut(strings.TrimSuffix(string(text), "\n"), " ")
		switch {
		case !ok:
			return nil, fmt.Errorf("%s: it isn't a zone and an id", path)
		case zone != f.Zone || (f.ID != "" && kept != f.ID):
			return nil, withHint(fmt.Errorf("data directory %s is of broker %s in zone %s", filepath.Dir(dir), kept, zone),
				"give it that --broker.id and --broker.zone, or another --data-dir")
		}
		return &protocol.ProcessSpec_ID{Zone: zone, Suffix: kept}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	id, err := f.Identity(f.ID)
	if err != nil {
		return nil, err
	}
	return id, durable.WriteFile(path, []byte(id.GetZone()+" "+id.GetSuffix()+"\n"))
}
