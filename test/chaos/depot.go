package chaos

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// depot is the store that the brokers share: a directory, or an S3 gateway over one. Its files are looked at
// past the gateway.
type depot struct {
	url     string   // that journals name
	dir     string   // of the objects, by their paths
	gateway *process // nil if brokers use the directory themselves
	address string   // of the gateway
	args    []string // of a broker that uses it
	env     []string
}

// secret of the S3 gateway, which listens on loopback for as long as the run lasts.
const secret = "chaos-secret"

// layDepot below a directory, with a gateway at a port if there is a program for one.
func layDepot(dir, versitygw string, port int) (*depot, error) {
	root := filepath.Join(dir, "store")
	if versitygw == "" {
		return &depot{url: "file:///", dir: root, args: []string{"--broker.file-root", root}}, mkdirs(root)
	}
	d := &depot{url: "s3://bucket/", dir: filepath.Join(root, "bucket"), address: address(port)}
	if err := mkdirs(d.dir); err != nil {
		return nil, err
	}
	files := map[string]string{
		"credentials": "[chaos]\naws_access_key_id = chaos\naws_secret_access_key = " + secret + "\n",
		"config":      "[profile chaos]\n",
		"stores.yaml": fmt.Sprintf("stores:\n- name: s3\n  url: %s\n  endpoint: http://%s\n  addresses: [127.0.0.0/8]\n  region: us-east-1\n  profile: chaos\n",
			d.url, d.address),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	d.args = []string{"--stores", filepath.Join(dir, "stores.yaml")}
	d.env = []string{
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(dir, "credentials"), "AWS_CONFIG_FILE=" + filepath.Join(dir, "config"),
		"AWS_EC2_METADATA_DISABLED=true",
	}
	d.gateway = &process{
		name: "versitygw", path: versitygw, log: new(logBuffer),
		args: []string{"--access", "chaos", "--secret", secret, "--port", d.address, "--quiet", "posix", root},
	}
	return d, nil
}

// start the gateway, if there is one, and wait until it listens.
func (d *depot) start(ctx context.Context) error {
	if d.gateway == nil {
		return nil
	}
	if err := d.gateway.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healing)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", d.address)
		if err == nil {
			return conn.Close()
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("versitygw doesn't listen: %w", err)
		}
	}
}

func (d *depot) end() {
	if d.gateway != nil {
		d.gateway.kill()
	}
}

// objects by their path. Files that are being written aren't among them.
func (d *depot) objects() (map[string][]byte, error) {
	out := make(map[string][]byte)
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir(), strings.HasPrefix(e.Name(), "."):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(d.dir, path)
		out[name] = content
		return err
	})
	return out, err
}
