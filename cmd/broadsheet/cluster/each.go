package cluster

import (
	"context"
	"errors"

	"broadsheet.dev/broadsheet/internal/task"
)

// AtOnce is how many things are worked on at once.
const AtOnce = 32

// Each calls fn for each thing by its name, some at once, and joins what fails. Work that was begun is ended, also when another
// fails.
func Each[T any](ctx context.Context, command string, all []T, name func(T) string, fn func(context.Context, T) error) error {
	g := task.New(ctx, command)
	slots := make(chan struct{}, AtOnce)
	failures := make(chan error, len(all))
	for _, x := range all {
		g.Go(name(x), func(ctx context.Context) error {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			failures <- fn(ctx, x)
			<-slots
			return nil
		})
	}
	err := g.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return err
}
