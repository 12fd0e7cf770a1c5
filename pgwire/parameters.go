package pgwire

import "sync"

// maxReported bounds a reported value, in bytes: libpq takes a longer message of this type
// for garbage and closes the connection.
const maxReported = 16 << 10

// parameters are the settings that the client is told of. A change is reported before the
// next ReadyForQuery, and only if the client doesn't know it.
type parameters struct {
	mu      sync.Mutex
	changed []string // names, in the order of their changes
	values  map[string]string
	told    map[string]string
}

// SetParameter notes a setting for the next report.
func (p *parameters) SetParameter(name, value string) {
	if len(value) > maxReported {
		value = value[:maxReported]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.values == nil {
		p.values, p.told = map[string]string{}, map[string]string{}
	}
	if _, waiting := p.values[name]; !waiting {
		p.changed = append(p.changed, name)
	}
	p.values[name] = value
}

// report writes the changes.
func (p *parameters) report(w *writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range p.changed {
		value := p.values[name]
		if told, ok := p.told[name]; !ok || told != value {
			w.parameter(name, value)
			p.told[name] = value
		}
	}
	p.changed = nil
	clear(p.values)
}
