package awsecs

import (
	"fmt"
	"slices"
	"time"
)

// desired is the desired number of tasks of each service.
const desired = 2

// A Rollout is how the rollout of a deployment proceeds. With the zero value, it is complete in the
// first answer.
type Rollout struct {
	Slow    int    // the number of answers of DescribeServices that show it in progress
	Stuck   bool   // it stays in progress
	Failure string // if not empty, the circuit breaker ends it with this reason, without a rollback
}

// defaultRollout is shown in progress once.
var defaultRollout = Rollout{Slow: 1}

// A service is a service of a cluster. Server.mu guards it.
type service struct {
	name, cluster string
	created       time.Time
	rollout       Rollout
	onDeploy      func()
	redeployments int
	deployments   []*deployment // the primary deployment is the first
}

// A deployment is a set of tasks of a service.
type deployment struct {
	id      string
	state   string
	reason  string
	running int
	failed  int
	seen    int  // the number of answers of DescribeServices that showed it in progress
	ready   bool // its tasks replace the old ones
	created time.Time
	updated time.Time
}

const (
	inProgress = "IN_PROGRESS"
	completed  = "COMPLETED"
	failed     = "FAILED"
)

// AddService adds a running service, and its cluster if it does not exist. onDeploy is called each
// time a forced deployment replaces the tasks, before an answer shows COMPLETED. It may be nil.
func (s *Server) AddService(cluster, name string, onDeploy func()) {
	if onDeploy == nil {
		onDeploy = func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clusters[cluster] == nil {
		s.clusters[cluster] = map[string]*service{}
	}
	added := &service{name: name, cluster: cluster, created: s.now(), rollout: defaultRollout, onDeploy: onDeploy}
	first := s.newDeployment()
	first.complete(s.now())
	added.deployments = []*deployment{first}
	s.clusters[cluster][name] = added
}

// SetRollout sets how the current rollout and all later rollouts of a service proceed. It returns
// an error if the service does not exist.
func (s *Server) SetRollout(cluster, name string, rollout Rollout) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.clusters[cluster][name]
	if found == nil {
		return fmt.Errorf("set rollout: there is no service %s/%s", cluster, name)
	}
	found.rollout = rollout
	return nil
}

// Redeployments returns how often a new deployment of a service was forced.
func (s *Server) Redeployments(cluster, name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.clusters[cluster][name]; found != nil {
		return found.redeployments
	}
	return 0
}

func (s *Server) newDeployment() *deployment {
	s.created++
	return &deployment{
		id: fmt.Sprintf("ecs-svc/%019d", s.created), state: inProgress,
		reason:  fmt.Sprintf("ECS deployment ecs-svc/%019d in progress.", s.created),
		created: s.now(), updated: s.now(),
	}
}

// redeploy starts a new deployment. Deployments without running tasks are removed.
func (found *service) redeploy(next *deployment) {
	found.redeployments++
	running := slices.DeleteFunc(found.deployments, func(d *deployment) bool { return d.running == 0 })
	found.deployments = append([]*deployment{next}, running...)
}

// advance advances the rollout for an answer of DescribeServices. If the new tasks now replace the
// old ones, it returns their deployment.
func (s *Server) advance(found *service) (ready *deployment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	primary := found.deployments[0]
	switch {
	case primary.state != inProgress || primary.ready || found.rollout.Stuck:
	case primary.seen < found.rollout.Slow:
		primary.seen++
	case found.rollout.Failure != "":
		primary.state, primary.reason = failed, "ECS deployment circuit breaker: "+found.rollout.Failure
		primary.failed, primary.updated = desired, s.now()
	default:
		primary.ready = true
		return primary
	}
	return nil
}

// complete completes a deployment whose tasks replaced the old ones. If another deployment was
// started in the meantime, the rollout of that one continues.
func (s *Server) complete(found *service, ready *deployment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready.complete(s.now())
	if found.deployments[0] == ready {
		found.deployments = found.deployments[:1]
	}
}

func (d *deployment) complete(now time.Time) {
	d.state, d.reason, d.running, d.updated = completed, fmt.Sprintf("ECS deployment %s completed.", d.id), desired, now
}
