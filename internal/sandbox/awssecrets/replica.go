package awssecrets

import (
	"regexp"
	"slices"
	"strings"
)

// The possible statuses of a replica.
const (
	InSync     = "InSync"
	InProgress = "InProgress"
	Failed     = "Failed"
)

type replicaRegion struct {
	Region   string
	KmsKeyId string
}

type replicateInput struct {
	SecretId          string
	AddReplicaRegions []replicaRegion
}

type replicateOutput struct {
	ARN               string
	ReplicationStatus []replica
}

func (s *Server) replicateSecretToRegions(in replicateInput) (replicateOutput, error) {
	if len(in.AddReplicaRegions) == 0 {
		return replicateOutput{}, invalidParameter("AddReplicaRegions must have at least one element.")
	}
	state, err := s.change(in.SecretId, func(_ *record, next *secret) error {
		return next.replicate(in.AddReplicaRegions, s.options.Region)
	})
	if err != nil {
		return replicateOutput{}, err
	}
	return replicateOutput{ARN: state.arn, ReplicationStatus: state.replicas}, nil
}

type removeRegionsInput struct {
	SecretId             string
	RemoveReplicaRegions []string
}

func (s *Server) removeRegionsFromReplication(in removeRegionsInput) (replicateOutput, error) {
	if len(in.RemoveReplicaRegions) == 0 {
		return replicateOutput{}, invalidParameter("RemoveReplicaRegions must have at least one element.")
	}
	state, err := s.change(in.SecretId, func(_ *record, next *secret) error {
		next.replicas = slices.DeleteFunc(next.replicas, func(r replica) bool {
			return slices.Contains(in.RemoveReplicaRegions, r.Region)
		})
		return nil
	})
	if err != nil {
		return replicateOutput{}, err
	}
	return replicateOutput{ARN: state.arn, ReplicationStatus: state.replicas}, nil
}

type stopReplicationOutput struct{ ARN string }

// stopReplicationToReplica turns a replica into an ordinary secret.
func (s *Server) stopReplicationToReplica(in secretInput) (stopReplicationOutput, error) {
	state, err := s.changeAny(in.SecretId, func(_ *record, next *secret) error {
		if next.primary == "" {
			return invalidRequest("The secret is not a replica.")
		}
		next.primary = ""
		return nil
	})
	if err != nil {
		return stopReplicationOutput{}, err
	}
	return stopReplicationOutput{ARN: state.arn}, nil
}

var regionPattern = regexp.MustCompile(`^([a-z]+-)+\d+$`)

// replicate adds replicas with the status InSync. It stores only their status, not a copy of the
// secret.
func (s *secret) replicate(regions []replicaRegion, primary string) error {
	for _, add := range regions {
		if !regionPattern.MatchString(add.Region) || add.Region == primary {
			return invalidParameter("Invalid replica region.")
		}
		if s.replicaIn(add.Region) != nil {
			return invalidParameter("The secret is already replicated to region %s.", add.Region)
		}
		s.replicas = append(s.replicas, replica{Region: add.Region, KmsKeyId: add.KmsKeyId, Status: InSync})
	}
	return nil
}

func (s *secret) replicaIn(region string) *replica {
	for i := range s.replicas {
		if s.replicas[i].Region == region {
			return &s.replicas[i]
		}
	}
	return nil
}

func (s *secret) checkNotReplicated() error {
	if len(s.replicas) == 0 {
		return nil
	}
	var regions []string
	for _, r := range s.replicas {
		regions = append(regions, r.Region)
	}
	return invalidParameter("You can't delete secret %s that still has replica regions [%s]", s.name,
		strings.Join(regions, ", "))
}
