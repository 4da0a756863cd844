package awsecs

import (
	"quilt-rotate/internal/sandbox/awsjson"
)

const maxDescribed = 10

type updateServiceInput struct {
	Cluster            string `json:"cluster"`
	Service            string `json:"service"`
	ForceNewDeployment bool   `json:"forceNewDeployment"`
}

type updateServiceOutput struct {
	Service serviceEntry `json:"service"`
}

func (s *Server) updateService(in updateServiceInput) (updateServiceOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.Service == "" {
		return updateServiceOutput{}, awsjson.Faultf("InvalidParameterException", "Service cannot be empty.")
	}
	cluster, services, err := s.cluster(in.Cluster)
	if err != nil {
		return updateServiceOutput{}, err
	}
	found := services[s.serviceName(cluster, in.Service)]
	if found == nil {
		return updateServiceOutput{}, awsjson.Faultf("ServiceNotFoundException", "Service not found.")
	}
	if in.ForceNewDeployment {
		found.redeploy(s.newDeployment())
	}
	return updateServiceOutput{s.entry(found)}, nil
}

type describeServicesInput struct {
	Cluster  string   `json:"cluster"`
	Services []string `json:"services"`
}

type describeServicesOutput struct {
	Services []serviceEntry `json:"services"`
	Failures []failure      `json:"failures"`
}

// A failure is a service that does not exist. The request does not fail.
type failure struct {
	ARN    string `json:"arn"`
	Reason string `json:"reason"`
}

func (s *Server) describeServices(in describeServicesInput) (describeServicesOutput, error) {
	if len(in.Services) == 0 || len(in.Services) > maxDescribed {
		return describeServicesOutput{}, awsjson.Faultf("InvalidParameterException",
			"Services must have 1-%d elements.", maxDescribed)
	}
	out := describeServicesOutput{Services: []serviceEntry{}, Failures: []failure{}}
	found, missing, err := s.requested(in)
	if err != nil {
		return out, err
	}
	for _, arn := range missing {
		out.Failures = append(out.Failures, failure{arn, "MISSING"})
	}
	for _, f := range found {
		out.Services = append(out.Services, s.show(f))
	}
	return out, nil
}

// requested returns the services of a request, and the ARNs of those that do not exist.
func (s *Server) requested(in describeServicesInput) (found []*service, missing []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cluster, services, err := s.cluster(in.Cluster)
	if err != nil {
		return nil, nil, err
	}
	for _, nameOrARN := range in.Services {
		name := s.serviceName(cluster, nameOrARN)
		if services[name] == nil {
			missing = append(missing, s.arn("service/"+cluster+"/"+name))
		} else {
			found = append(found, services[name])
		}
	}
	return found, missing, nil
}

// show advances a service's rollout and describes the service. It calls onDeploy without the lock,
// and before an answer shows COMPLETED.
func (s *Server) show(found *service) serviceEntry {
	if ready := s.advance(found); ready != nil {
		found.onDeploy()
		s.complete(found, ready)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entry(found)
}

type serviceEntry struct {
	ServiceARN         string            `json:"serviceArn"`
	ServiceName        string            `json:"serviceName"`
	ClusterARN         string            `json:"clusterArn"`
	Status             string            `json:"status"`
	DesiredCount       int               `json:"desiredCount"`
	RunningCount       int               `json:"runningCount"`
	PendingCount       int               `json:"pendingCount"`
	LaunchType         string            `json:"launchType"`
	SchedulingStrategy string            `json:"schedulingStrategy"`
	TaskDefinition     string            `json:"taskDefinition"`
	CreatedAt          awsjson.Timestamp `json:"createdAt"`
	Deployments        []deploymentEntry `json:"deployments"`
}

type deploymentEntry struct {
	ID                 string            `json:"id"`
	Status             string            `json:"status"`
	TaskDefinition     string            `json:"taskDefinition"`
	DesiredCount       int               `json:"desiredCount"`
	PendingCount       int               `json:"pendingCount"`
	RunningCount       int               `json:"runningCount"`
	FailedTasks        int               `json:"failedTasks"`
	LaunchType         string            `json:"launchType"`
	RolloutState       string            `json:"rolloutState"`
	RolloutStateReason string            `json:"rolloutStateReason"`
	CreatedAt          awsjson.Timestamp `json:"createdAt"`
	UpdatedAt          awsjson.Timestamp `json:"updatedAt"`
}

func (s *Server) entry(found *service) serviceEntry {
	out := serviceEntry{
		ServiceARN: s.arn("service/" + found.cluster + "/" + found.name), ServiceName: found.name,
		ClusterARN: s.arn("cluster/" + found.cluster),
		Status:     "ACTIVE", DesiredCount: desired, LaunchType: "FARGATE", SchedulingStrategy: "REPLICA",
		TaskDefinition: s.arn("task-definition/" + found.name + ":1"), CreatedAt: awsjson.NewTimestamp(found.created),
	}
	for i, d := range found.deployments {
		entry := deploymentEntry{
			ID: d.id, Status: "PRIMARY", TaskDefinition: out.TaskDefinition, DesiredCount: desired,
			RunningCount: d.running, FailedTasks: d.failed,
			LaunchType: out.LaunchType, RolloutState: d.state, RolloutStateReason: d.reason,
			CreatedAt: awsjson.NewTimestamp(d.created), UpdatedAt: awsjson.NewTimestamp(d.updated),
		}
		if i > 0 {
			entry.Status = "ACTIVE"
		}
		if d.state == inProgress {
			entry.PendingCount = desired
		}
		out.RunningCount += entry.RunningCount
		out.PendingCount += entry.PendingCount
		out.Deployments = append(out.Deployments, entry)
	}
	return out
}
