package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/internal/testenv"
)

// lease of the brokers: what a journal waits for at most before another broker is its primary.
const lease = 3 * time.Second

// cluster is an etcd, brokers and a store.
type cluster struct {
	dir   string
	depot *depot
	etcd  []*process
	// etcdURLs are where clients reach etcd's members.
	etcdURLs []string
	brokers  []*member
	disks    []*disk // of the brokers and the store, if they can be filled
}

// member is one broker, with the proxy by which others reach it.
type member struct {
	*process
	dir     string
	address string // its own
	proxy   *proxy
	client  *client.Client
	usable  atomic.Bool // clients use it
}

// newCluster lays a cluster out below a directory. Nothing runs yet.
func newCluster(ctx context.Context, cfg Config) (*cluster, error) {
	ports, err := testenv.FreePorts(2*cfg.EtcdMembers + 2*cfg.Brokers + 1)
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: cfg.Dir}
	if c.depot, err = layDepot(cfg.Dir, cfg.Versitygw, ports[len(ports)-1]); err != nil {
		return nil, err
	}
	endpoints := c.layEtcd(cfg, ports[:2*cfg.EtcdMembers])
	for i := range cfg.Brokers {
		at := ports[2*cfg.EtcdMembers+2*i:]
		if err := c.layBroker(ctx, cfg, endpoints, at[0], at[1]); err != nil {
			return nil, err
		}
	}
	return c, c.mountDisks(cfg)
}

// mountDisks gives each broker, and the store if it is a directory, a disk that can be filled.
func (c *cluster) mountDisks(cfg Config) error {
	if cfg.DiskSize == 0 {
		return nil
	}
	sizes := make(map[string]int64)
	for _, m := range c.brokers {
		sizes[m.dir] = cfg.DiskSize
	}
	if c.depot.gateway == nil {
		sizes[c.depot.dir] = 8 * cfg.DiskSize
	}
	for _, dir := range slices.Sorted(maps.Keys(sizes)) {
		d, err := mountDisk(dir, sizes[dir])
		if err != nil {
			return errors.Join(err, c.unmountDisks())
		}
		c.disks = append(c.disks, d)
	}
	return nil
}

func (c *cluster) unmountDisks() error {
	var errs []error
	for _, d := range c.disks {
		errs = append(errs, d.unmount())
	}
	return errors.Join(errs...)
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
	c.etcdURLs = endpoints
	return strings.Join(endpoints, ",")
}

func (c *cluster) layBroker(ctx context.Context, cfg Config, etcd string, port, front int) error {
	i := len(c.brokers)
	name := fmt.Sprintf("broker-%d", i)
	dir := filepath.Join(c.dir, name)
	m := &member{
		dir: dir,
		process: &process{
			name: name, path: cfg.Broadsheet, log: new(logBuffer), env: append([]string{"GOTRACEBACK=all"}, c.depot.env...),
			args: append([]string{
				"broker", "--data-dir", dir, "--ack", cfg.Ack,
				"--broker.zone", fmt.Sprintf("zone-%d", i), "--broker.id", name,
				"--broker.bind", "127.0.0.1", "--broker.port", strconv.Itoa(port),
				"--broker.endpoint", "http://" + address(front),
				"--broker.drain", "10s", "--broker.grace", "2s",
				"--etcd.address", etcd, "--etcd.lease", lease.String(), "--log.level", "debug",
			}, c.depot.args...),
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

// etcdList is where clients reach etcd.
func (c *cluster) etcdList() string { return strings.Join(c.etcdURLs, ",") }

// start all, and wait until all are ready.
func (c *cluster) start(ctx context.Context) error {
	if err := c.depot.start(ctx); err != nil {
		return err
	}
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

// awaitReady waits until the broker serves. One that ended is started again, so that the run goes on; check
// tells of it, if nobody asked for it.
func (m *member) awaitReady(ctx context.Context) error {
	for {
		if !m.running() {
			if err := m.start(); err != nil {
				return err
			}
		}
		if isReady(ctx, m.address) {
			m.usable.Store(true)
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s isn't ready: %w", m.name, err)
		}
	}
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
	c.depot.end()
	errs = append(errs, c.unmountDisks())
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
	if p := c.depot.gateway; p != nil {
		_ = p.log.save(filepath.Join(c.dir, p.name+".log"))
	}
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
