package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// killEtcd kills a member of etcd, as often as not its leader.
func (n *nemesis) killEtcd(ctx context.Context) error {
	p := n.cluster.etcd[n.rand.IntN(len(n.cluster.etcd))]
	p.kill()
	if err := n.rest(ctx, 0, 2*lease); err != nil {
		return err
	}
	return p.start()
}

// moveLeader has etcd's leader hand over to another member, a few times in a row.
func (n *nemesis) moveLeader(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healing)
	defer cancel()
	for range 1 + n.rand.IntN(3) {
		// A member that was killed just now may not be back, and then is no one to hand over to.
		for {
			err := n.cluster.handOver(ctx, n.rand.IntN(len(n.cluster.etcd)))
			if err == nil {
				break
			}
			if e := pause(ctx, 100*time.Millisecond); e != nil {
				return errors.Join(err, e)
			}
		}
		if err := n.rest(ctx, 0, lease/2); err != nil {
			return err
		}
	}
	return nil
}

// handOver moves the leadership of etcd to a member, or to the next one if that has it.
func (c *cluster) handOver(ctx context.Context, to int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ids := make([]uint64, len(c.etcdURLs))
	leader := -1
	for i, url := range c.etcdURLs {
		status, err := c.etcdStatus(ctx, url)
		if err != nil {
			return err
		}
		if ids[i] = status.Header.GetMemberId(); status.Leader == ids[i] {
			leader = i
		}
	}
	if leader < 0 {
		return errors.New("etcd has no leader")
	}
	if to == leader {
		to = (to + 1) % len(ids)
	}
	client, err := c.dialEtcd(c.etcdURLs[leader])
	if err != nil {
		return err
	}
	_, err = client.MoveLeader(ctx, ids[to])
	if err = errors.Join(err, client.Close()); err != nil {
		return fmt.Errorf("move etcd's leader from member %d to %d: %w", leader, to, err)
	}
	return nil
}

// dialEtcd connects to one member.
func (c *cluster) dialEtcd(url string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{url}, Logger: zap.NewNop()})
}

func (c *cluster) etcdStatus(ctx context.Context, url string) (*clientv3.StatusResponse, error) {
	client, err := c.dialEtcd(url)
	if err != nil {
		return nil, err
	}
	status, err := client.Status(ctx, url)
	return status, errors.Join(err, client.Close())
}
