package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/internal/task"
)

// lease of the brokers: what a journal waits for at most before another broker is its primary.
const lease = 3 * time.Second

// cluster is an etcd, brokers and a store.
type cluster struct {
	dir     string
	store   string
	etcd    []*process
	brokers []*member
}

// member is one broker, with the proxy by which others reach it.
type member struct {
	*process
	address string // its own
	proxy   *proxy
	client  *client.Client
	usable  atomic.Bool // clients use it
}

// newCluster lays a cluster out below a directory. Nothing runs yet.
func newCluster(ctx context.Context, cfg Config) (*cluster, error) {
	c := &cluster{dir: cfg.Dir, store: filepath.Join(cfg.Dir, "store")}
	if err := mkdirs(c.store); err != nil {
		return nil, err
	}
	ports, err := freePorts(2*cfg.EtcdMembers + 2*cfg.Brokers)
	if err != nil {
		return nil, err
	}
	endpoints := c.layEtcd(cfg, ports[:2*cfg.EtcdMembers])
	for i := range cfg.Brokers {
		at := ports[2*cfg.EtcdMembers+2*i:]
		if err := c.layBroker(ctx, cfg, endpoints, at[0], at[1]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *cluster) layEtcd(cfg Config, ports []int) string {
	var initial, endpoints []string
	for i := range cfg.EtcdMembers {
		initial = append(initial, fmt.Sprintf("etcd-%d=http://%s", i, address(ports[2*i+1])))
		endpoints = append(endpoints, "http://"+address(ports[2*i]))
	}
	for i := range cfg.EtcdMembers {
		name := fmt.Sprintf("etcd-%d", i)
		peer := "http://" + address(ports[2*i+1])
		c.etcd = append(c.etcd, &process{
			name: name, path: cfg.Etcd, log: new(logBuffer),
			args: []string{
				"--name", name, "--data-dir", filepath.Join(c.dir, name),
				"--listen-client-urls", endpoints[i], "--advertise-client-urls", endpoints[i],
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
				"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-token", "chaos",
				"--unsafe-no-fsync", "--log-level", "error",
			},
		})
	}
	return strings.Join(endpoints, ",")
}

func (c *cluster) layBroker(ctx context.Context, cfg Config, etcd string, port, front int) error {
	i := len(c.brokers)
	m := &member{
		process: &process{
			name: fmt.Sprintf("broker-%d", i), path: cfg.Broadsheet, log: new(logBuffer), env: []string{"GOTRACEBACK=all"},
			args: []string{
				"broker", "--data-dir", filepath.Join(c.dir, fmt.Sprintf("broker-%d", i)), "--ack", cfg.Ack,
				"--broker.zone", fmt.Sprintf("zone-%d", i), "--broker.id", fmt.Sprintf("broker-%d", i),
				"--broker.bind", "127.0.0.1", "--broker.port", strconv.Itoa(port),
				"--broker.endpoint", "http://" + address(front), "--broker.file-root", c.store,
				"--broker.drain", "10s", "--broker.grace", "2s",
				"--etcd.address", etcd, "--etcd.lease", lease.String(), "--log.level", "debug",
			},
		},
		address: "http://" + address(port),
	}
	var err error
	if m.proxy, err = newProxy(address(front), address(port)); err != nil {
		return err
	}
	if m.client, err = client.Dial(ctx, client.Config{Endpoint: m.address}); err != nil {
		return err
	}
	c.brokers = append(c.brokers, m)
	return nil
}

// start all, and wait until all are ready.
func (c *cluster) start(ctx context.Context) error {
	for _, p := range c.etcd {
		if err := p.start(); err != nil {
			return err
		}
	}
	for _, m := range c.brokers {
		if err := m.start(); err != nil {
			return err
		}
	}
	for _, m := range c.brokers {
		if err := m.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// serveProxies until ctx is done.
func (c *cluster) serveProxies(group *task.Group) {
	for _, m := range c.brokers {
		group.Go("proxy "+m.name, m.proxy.serve)
	}
}

// awaitReady waits until the broker serves. One that ended because etcd was away is started again.
func (m *member) awaitReady(ctx context.Context) error {
	for {
		if !m.running() {
			if err := m.start(); err != nil {
				return err
			}
		}
		if m.isReady(ctx) {
			m.usable.Store(true)
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s isn't ready: %w", m.name, err)
		}
	}
}

func (m *member) isReady(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.address+"/debug/ready", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// end everything that runs.
func (c *cluster) end() error {
	var errs []error
	for _, m := range c.brokers {
		m.kill()
		errs = append(errs, m.client.Close(), m.proxy.listener.Close())
	}
	for _, p := range c.etcd {
		p.kill()
	}
	for i, err := range errs {
		if err != nil && strings.Contains(err.Error(), "use of closed") {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

// saveLogs keeps the logs of all processes, for whoever looks into a failure.
func (c *cluster) saveLogs() {
	for _, m := range c.brokers {
		_ = m.log.save(filepath.Join(c.dir, m.name+".log"))
	}
	for _, p := range c.etcd {
		_ = p.log.save(filepath.Join(c.dir, p.name+".log"))
	}
}

// objects of the store, by their path in it. Files that are being written aren't among them.
func (c *cluster) objects() (map[string][]byte, error) {
	out := make(map[string][]byte)
	err := filepath.WalkDir(c.store, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(c.store, path)
		out[name] = content
		return err
	})
	return out, err
}

// pause for a time, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
