package awsclient

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"quilt-rotate/internal/settings"
)

// Redeploy asks ECS to replace the tasks of a service, so that they read the key again. If it is
// called twice, the second deployment replaces the first.
func (c *Cloud) Redeploy(ctx context.Context, s settings.Service) error {
	_, err := c.calls.updateService(ctx, &ecs.UpdateServiceInput{Cluster: &s.Cluster, Service: &s.Service,
		ForceNewDeployment: true})
	return newError(fmt.Sprintf("redeploy the service %s/%s", s.Cluster, s.Service), err)
}

// AwaitStable waits until a service has only one deployment and all its tasks run. Then the old
// tasks have stopped.
func (c *Cloud) AwaitStable(ctx context.Context, s settings.Service, atMost time.Duration) error {
	waiter := ecs.NewServicesStableWaiter(c.calls.describeServices, func(o *ecs.ServicesStableWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, 10*time.Second
	})
	err := waiter.Wait(ctx, &ecs.DescribeServicesInput{Cluster: &s.Cluster, Services: []string{s.Service}}, atMost)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return newError(fmt.Sprintf("wait until the service %s/%s is stable", s.Cluster, s.Service), err)
}
