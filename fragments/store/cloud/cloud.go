package cloud

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"broadsheet.dev/broadsheet/fragments/store"
)

// minPart is the smallest part that S3 takes, but for the last.
const minPart = 5 << 20

// DefaultPartSize is Config.PartSize where it is zero. With S3's 10000 parts it bounds
// objects at 80 GiB, which is five times the largest fragment.
const DefaultPartSize = 8 << 20

// Config of the drivers. Its zero value is useful.
type Config struct {
	// PartSize in bytes: what a Put holds in memory, and above which it takes several
	// requests. Default: DefaultPartSize.
	PartSize int
	// Authority hands out the tokens of azure-ad stores. Default: what AZURE_AUTHORITY_HOST says, as for
	// Azure's own programs, or else that of Azure's public cloud.
	Authority string
}

// Validate tells what is wrong with the config.
func (c Config) Validate() error {
	if c.PartSize != 0 && c.PartSize < minPart {
		return fmt.Errorf("parts of %d bytes, less than %d", c.PartSize, minPart)
	}
	return nil
}

// Drivers by the scheme of their stores' URLs. The registry that they are given to
// closes them.
func Drivers(config Config) (map[string]store.Driver, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.PartSize == 0 {
		config.PartSize = DefaultPartSize
	}
	if config.Authority == "" {
		config.Authority = or(os.Getenv(envAuthority), "https://login.microsoftonline.com")
	}
	config.Authority = strings.TrimSuffix(config.Authority, "/")
	d := &drivers{config: config, clients: make(map[string]*http.Client)}
	return map[string]store.Driver{
		"s3":       driver{d, openS3},
		"gs":       driver{d, openGCS},
		"azure":    driver{d, openAzure},
		"azure-ad": driver{d, openAzureAD},
	}, nil
}

// drivers is what all drivers share.
type drivers struct {
	config Config

	mu      sync.Mutex
	clients map[string]*http.Client // By URL of the entry.
}

// client is that for the stores of an entry, which share its connections.
func (d *drivers) client(entry store.Entry) *http.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.clients[entry.URL]
	if c == nil {
		c = newClient(entry.Addresses)
		d.clients[entry.URL] = c
	}
	return c
}

// opener makes the connect function of a target's service, and says what of the
// target's path is not part of keys.
type opener func(t store.Target, c *http.Client, config Config) (connect, string, error)

type driver struct {
	*drivers
	open opener
}

var _ store.Driver = driver{}

// Open returns a store that connects when it is first used.
func (d driver) Open(t store.Target) (store.Store, string, error) {
	client := d.client(t.Entry)
	connect, prefix, err := d.open(t, client, d.config)
	if err != nil {
		return nil, "", err
	}
	return newBucket(connect, client, d.config.PartSize), prefix, nil
}

// Close ends idle connections.
func (d driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.clients {
		c.CloseIdleConnections()
	}
	return nil
}
