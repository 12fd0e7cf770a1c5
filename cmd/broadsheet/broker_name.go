package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"broadsheet.dev/broadsheet/internal/durable"
	"broadsheet.dev/broadsheet/protocol"
)

// nameFile of a broker's directory has the zone and the id that its spools are known by: the
// epochs of journals name them, and would look for them in vain under other names.
const nameFile = "NAME"

// brokerName returns the id of the broker whose directory this is. At the first start that is the one which
// is asked for, or one that is made up; then it stays, and another is refused.
func brokerName(dir, zone, id string) (string, error) {
	path := filepath.Join(dir, nameFile)
	text, err := os.ReadFile(path)
	if err == nil {
		keptZone, kept, ok := strings.Cut(strings.TrimSuffix(string(text), "\n"), " ")
		switch {
		case !ok:
			return "", fmt.Errorf("%s: it isn't a zone and an id", path)
		case keptZone != zone || (id != "" && kept != id):
			return "", withHint(fmt.Errorf("data directory %s is of broker %s in zone %s", filepath.Dir(dir), kept, keptZone),
				"give it that --broker.id and --broker.zone, or another --data-dir")
		}
		return kept, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if id == "" {
		var b [4]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", err
		}
		id = "broker-" + hex.EncodeToString(b[:])
	}
	if err := (&protocol.ProcessSpec_ID{Zone: zone, Suffix: id}).Validate(); err != nil {
		flag := "--broker.id"
		if invalid, ok := errors.AsType[*protocol.ValidationError](err); ok && invalid.Path == "Zone" {
			flag = "--broker.zone"
		}
		return "", withHint(fmt.Errorf("broker %s in zone %s: %w", id, zone, err), "choose another "+flag)
	}
	return id, durable.WriteFile(path, []byte(zone+" "+id+"\n"))
}

// portOf a listener; "" if it has none.
func portOf(ln net.Listener) string {
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		_, port, _ := net.SplitHostPort(a.String())
		return port
	}
	return ""
}

// joinHostPort makes the host of a URL; without a port there is none.
func joinHostPort(host, port string) string {
	if port == "" {
		return host
	}
	return net.JoinHostPort(host, port)
}
