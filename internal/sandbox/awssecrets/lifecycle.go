package awssecrets

import (
	"strings"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

type createSecretInput struct {
	Name               string
	ClientRequestToken string
	Description        *string
	KmsKeyId           string
	SecretString       *string
	SecretBinary       []byte
	Tags               []tag
	AddReplicaRegions  []replicaRegion
}

type createSecretOutput struct {
	ARN               string
	Name              string
	VersionId         string    `json:",omitempty"`
	ReplicationStatus []replica `json:",omitempty"`
}

func (in createSecretInput) check() (*value, error) {
	if err := checkName(in.Name); err != nil {
		return nil, err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	if err := checkToken(in.ClientRequestToken); err != nil {
		return nil, err
	}
	return valueOf(in.SecretString, in.SecretBinary)
}

func (s *Server) createSecret(in createSecretInput) (createSecretOutput, error) {
	v, err := in.check()
	if err != nil {
		return createSecretOutput{}, err
	}
	defer s.deliver()
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, err := s.find(in.Name); err == nil && r.state.name == in.Name {
		return r.state.repeatCreate(in, v)
	}
	now := s.now()
	created := &secret{
		name: in.Name, arn: ARN(s.options.Region, s.options.Account, in.Name), kmsKey: in.KmsKeyId, created: now,
		versions: map[string]*version{}, labels: map[string]string{},
	}
	if in.Description != nil {
		created.description = *in.Description
	}
	if err := created.setTags(in.Tags); err != nil {
		return createSecretOutput{}, err
	}
	if err := created.replicate(in.AddReplicaRegions, s.options.Region); err != nil {
		return createSecretOutput{}, err
	}
	out := createSecretOutput{ARN: created.arn, Name: created.name, ReplicationStatus: created.replicas}
	if v != nil {
		created.add(in.ClientRequestToken, v, now)
		created.attach(current, in.ClientRequestToken)
		out.VersionId = in.ClientRequestToken
	}
	s.count++
	r := &record{order: s.count, arn: created.arn, accessed: map[string]time.Time{}}
	s.secrets[in.Name] = r
	s.commit(r, created)
	return out, nil
}

// repeatCreate returns the result of a CreateSecret whose name exists. A repetition of the request
// that created the secret succeeds.
func (s *secret) repeatCreate(in createSecretInput, v *value) (createSecretOutput, error) {
	if s.markedForDeletion() {
		return createSecretOutput{}, invalidRequest("You can't create this secret because a secret with this name is " +
			"already scheduled for deletion.")
	}
	if old := s.versions[in.ClientRequestToken]; v != nil && old != nil && old.value != nil && old.value.equal(v) {
		return createSecretOutput{ARN: s.arn, Name: s.name, VersionId: old.id, ReplicationStatus: s.replicas}, nil
	}
	return createSecretOutput{}, awsjson.Faultf("ResourceExistsException", "The operation failed because the secret "+
		"%s already exists.", in.Name)
}

// details is the part of the output that DescribeSecret and ListSecrets share.
type details struct {
	ARN               string
	Name              string
	Description       string            `json:",omitempty"`
	KmsKeyId          string            `json:",omitempty"`
	RotationEnabled   *bool             `json:",omitempty"`
	RotationLambdaARN string            `json:",omitempty"`
	RotationRules     *rules            `json:",omitempty"`
	LastRotatedDate   awsjson.Timestamp `json:",omitzero"`
	LastChangedDate   awsjson.Timestamp `json:",omitzero"`
	LastAccessedDate  awsjson.Timestamp `json:",omitzero"`
	DeletedDate       awsjson.Timestamp `json:",omitzero"`
	NextRotationDate  awsjson.Timestamp `json:",omitzero"`
	CreatedDate       awsjson.Timestamp `json:",omitzero"`
	Tags              []tag             `json:",omitempty"`
	PrimaryRegion     string            `json:",omitempty"`
}

type describeSecretOutput struct {
	details
	VersionIdsToStages map[string][]string `json:",omitempty"`
	ReplicationStatus  []replica           `json:",omitempty"`
}

type secretInput struct{ SecretId string }

// secretOutput is the output of operations that return only the name and the ARN.
type secretOutput struct {
	ARN  string
	Name string
}

func (s *Server) describeSecret(in secretInput) (describeSecretOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, state, err := s.read(in.SecretId)
	if err != nil {
		return describeSecretOutput{}, err
	}
	return describeSecretOutput{
		details: s.details(r, state), VersionIdsToStages: state.idsToStages(), ReplicationStatus: state.replicas,
	}, nil
}

func (s *Server) details(r *record, state *secret) details {
	out := details{
		ARN: state.arn, Name: state.name, Description: state.description, KmsKeyId: state.kmsKey,
		CreatedDate: awsjson.NewTimestamp(state.created), LastChangedDate: awsjson.NewTimestamp(state.changed),
		LastAccessedDate: awsjson.NewTimestamp(r.lastRead),
		DeletedDate:      awsjson.NewTimestamp(state.deletion), Tags: state.tags,
	}
	if len(state.replicas) > 0 {
		out.PrimaryRegion = s.options.Region
	}
	if state.primary != "" {
		out.PrimaryRegion = state.primary
	}
	if c := state.rotation; c.configured {
		out.RotationEnabled, out.RotationLambdaARN = &c.enabled, c.function
		if c.rules != (rules{}) {
			out.RotationRules = &c.rules
		}
		if c.enabled { // both dates are null while rotation is off
			out.LastRotatedDate, out.NextRotationDate = awsjson.NewTimestamp(c.rotated), awsjson.NewTimestamp(c.next)
		}
	}
	return out
}

// idsToStages returns the versions that have a label, with their labels.
func (s *secret) idsToStages() map[string][]string {
	stages := make(map[string][]string, len(s.labels))
	for _, id := range s.labels {
		if _, done := stages[id]; !done {
			stages[id] = s.stages(id)
		}
	}
	return stages
}

type updateSecretInput struct {
	SecretId           string
	ClientRequestToken string
	Description        *string
	KmsKeyId           *string
	SecretString       *string
	SecretBinary       []byte
}

type updateSecretOutput struct {
	ARN       string
	Name      string
	VersionId string `json:",omitempty"`
}

func (s *Server) updateSecret(in updateSecretInput) (updateSecretOutput, error) {
	if err := checkDescription(in.Description); err != nil {
		return updateSecretOutput{}, err
	}
	v, err := valueOf(in.SecretString, in.SecretBinary)
	if err != nil {
		return updateSecretOutput{}, err
	}
	var out updateSecretOutput
	state, err := s.change(in.SecretId, func(r *record, next *secret) error {
		if in.Description != nil {
			next.description = *in.Description
		}
		if in.KmsKeyId != nil {
			next.kmsKey = *in.KmsKeyId
		}
		if v == nil {
			return nil
		}
		if err := checkToken(in.ClientRequestToken); err != nil {
			return err
		}
		// Unlike PutSecretValue, UpdateSecret refuses a token that exists even if the value is the
		// same, because it always creates a version.
		if next.versions[in.ClientRequestToken] != nil {
			return errTokenUsed(in.ClientRequestToken, next.arn)
		}
		out.VersionId = in.ClientRequestToken
		s.store(r, next, in.ClientRequestToken, v, []string{current})
		return nil
	})
	if err != nil {
		return updateSecretOutput{}, err
	}
	out.ARN, out.Name = state.arn, state.name
	return out, nil
}

type deleteSecretInput struct {
	SecretId                   string
	RecoveryWindowInDays       *int
	ForceDeleteWithoutRecovery bool
}

type deleteSecretOutput struct {
	ARN          string
	Name         string
	DeletionDate awsjson.Timestamp
}

func (in deleteSecretInput) check() error {
	if in.RecoveryWindowInDays == nil {
		return nil
	}
	if in.ForceDeleteWithoutRecovery {
		return invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	}
	if days := *in.RecoveryWindowInDays; days < 7 || days > 30 {
		return invalidParameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	}
	return nil
}

func (s *Server) deleteSecret(in deleteSecretInput) (deleteSecretOutput, error) {
	if err := in.check(); err != nil {
		return deleteSecretOutput{}, err
	}
	if in.ForceDeleteWithoutRecovery {
		return s.forceDelete(in.SecretId)
	}
	window := 30 * 24 * time.Hour
	if in.RecoveryWindowInDays != nil {
		window = time.Duration(*in.RecoveryWindowInDays) * 24 * time.Hour
	}
	state, err := s.change(in.SecretId, func(_ *record, next *secret) error {
		next.deletion = s.now().Add(window)
		return next.checkNotReplicated()
	})
	if err != nil {
		return deleteSecretOutput{}, err
	}
	return deleteSecretOutput{ARN: state.arn, Name: state.name, DeletionDate: awsjson.NewTimestamp(state.deletion)}, nil
}

// forceDelete deletes a secret at once, even if it is marked for deletion. It is not an error if
// the secret does not exist.
func (s *Server) forceDelete(id string) (deleteSecretOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkSecretID(id); err != nil {
		return deleteSecretOutput{}, err
	}
	out := deleteSecretOutput{ARN: id, Name: id, DeletionDate: awsjson.NewTimestamp(s.now())}
	if !strings.HasPrefix(id, "arn:") {
		out.ARN = ARN(s.options.Region, s.options.Account, id)
	}
	if r, err := s.find(id); err == nil {
		if err := r.state.checkNotReplicated(); err != nil {
			return deleteSecretOutput{}, err
		}
		out.ARN, out.Name = r.state.arn, r.state.name
		delete(s.secrets, r.state.name)
	}
	return out, nil
}

func (s *Server) restoreSecret(in secretInput) (secretOutput, error) {
	state, err := s.changeAny(in.SecretId, func(_ *record, next *secret) error {
		next.deletion = time.Time{}
		return nil
	})
	if err != nil {
		return secretOutput{}, err
	}
	return secretOutput{ARN: state.arn, Name: state.name}, nil
}
