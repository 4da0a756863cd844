package awssecrets

import (
	"encoding/json"

	"quilt-rotate/internal/sandbox/awsjson"
)

const maxPolicy = 20480

type putResourcePolicyInput struct {
	SecretId       string
	ResourcePolicy string
}

// putResourcePolicy stores the policy. The sandbox never evaluates it.
func (s *Server) putResourcePolicy(in putResourcePolicyInput) (secretOutput, error) {
	if len(in.ResourcePolicy) < 1 || len(in.ResourcePolicy) > maxPolicy {
		return secretOutput{}, invalidParameter("ResourcePolicy must be 1-%d characters long.", maxPolicy)
	}
	if !json.Valid([]byte(in.ResourcePolicy)) {
		return secretOutput{}, awsjson.Faultf("MalformedPolicyDocumentException",
			"This resource policy contains invalid JSON.")
	}
	return s.setPolicy(in.SecretId, in.ResourcePolicy)
}

func (s *Server) deleteResourcePolicy(in secretInput) (secretOutput, error) {
	return s.setPolicy(in.SecretId, "")
}

func (s *Server) setPolicy(id, policy string) (secretOutput, error) {
	state, err := s.change(id, func(_ *record, next *secret) error {
		next.policy = policy
		return nil
	})
	if err != nil {
		return secretOutput{}, err
	}
	return secretOutput{ARN: state.arn, Name: state.name}, nil
}

type getResourcePolicyOutput struct {
	ARN            string
	Name           string
	ResourcePolicy string `json:",omitempty"`
}

func (s *Server) getResourcePolicy(in secretInput) (getResourcePolicyOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkSecretID(in.SecretId); err != nil {
		return getResourcePolicyOutput{}, err
	}
	r, err := s.find(in.SecretId)
	if err != nil {
		return getResourcePolicyOutput{}, err
	}
	if r.state.markedForDeletion() {
		return getResourcePolicyOutput{}, errMarked
	}
	return getResourcePolicyOutput{ARN: r.state.arn, Name: r.state.name, ResourcePolicy: r.state.policy}, nil
}
