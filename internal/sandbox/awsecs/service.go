package awsecs

import (
	"fmt"
	"slices"
	"time"
)

// desired is how many tasks each service is to have.
const desired = 2

// A Rollout is how a service takes a new deployment. With the zero Rollout it is complete when it
// is looked at.
type Rollout struct {
	Slow    int    // so many answers of DescribeServices show it in progress
	Stuck   bool   // it stays in progress
	Failure string // why the circuit breaker ends it, without a rollback; empty: it does not
}

// usual lets a caller see a rollout in progress once.
var usual = Rollout{Slow: 1}

// A service is one service of a cluster. Server.mu guards it.
type service struct {
	name, cluster string
	created       time.Time
	rollout       Rollout
	onDeploy      func()
	redeployments int
	deployments   []*deployment // the primary one first
}

// A deployment is one set of tasks of a service.
type deployment struct {
	id      string
	state   string
	reason  string
	running int
	failed  int
	seen    int  // in progress, by answers of DescribeServices
	ready   bool // its tasks take over
	created time.Time
	updated time.Time
}

const (
	inProgress = "IN_PROGRESS"
	completed  = "COMPLETED"
	failed     = "FAILED"
)

// AddService declares a service that runs, in a cluster that exists from now on. onDeploy stands
// for its tasks: it runs each time a forced deployment has replaced them, before the answer that
// shows it COMPLETED; it may be nil.
func (s *Server) AddService(cluster, name string, onDeploy func()) {
	if onDeploy == nil {
		onDeploy = func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clusters[cluster] == nil {
		s.clusters[cluster] = map[string]*service{}
	}
	added := &service{name: name, cluster: cluster, created: s.now(), rollout: usual, onDeploy: onDeploy}
	first := s.newDeployment()
	first.complete(s.now())
	added.deployments = []*deployment{first}
	s.clusters[cluster][name] = added
}

// SetRollout says how a service takes the deployment that is under way, and every later one. It
// fails for a service that nobody added.
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

// Redeployments is how often a new deployment of a service was forced.
func (s *Server) Redeployments(cluster, name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.clusters[cluster][name]; found != nil {
		return found.redeployments
	}
	return 0
}

func (s *Server) newDeployment() *deployment {
	s.made++
	return &deployment{
		id: fmt.Sprintf("ecs-svc/%019d", s.made), state: inProgress,
		reason:  fmt.Sprintf("ECS deployment ecs-svc/%019d in progress.", s.made),
		created: s.now(), updated: s.now(),
	}
}

// redeploy begins a new deployment. The tasks that run go on, and one that never came to run any is
// gone.
func (found *service) redeploy(next *deployment) {
	found.redeployments++
	running := slices.DeleteFunc(found.deployments, func(d *deployment) bool { return d.running == 0 })
	found.deployments = append([]*deployment{next}, running...)
}

// look moves the rollout along, as an answer of DescribeServices does. Where the new tasks take
// over by it, it returns their deployment.
func (s *Server) look(found *service) (ready *deployment) {
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

// settle completes a deployment whose tasks have taken over, unless another one has begun
// meanwhile.
func (s *Server) settle(found *service, ready *deployment) {
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
