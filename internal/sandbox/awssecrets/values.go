package awssecrets

import "quilt-rotate/internal/sandbox/awsjson"

type getSecretValueInput struct {
	SecretId     string
	VersionId    string
	VersionStage string
}

type getSecretValueOutput struct {
	ARN           string
	Name          string
	VersionId     string
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   awsjson.Timestamp
}

func (in getSecretValueInput) check() error {
	if in.VersionId != "" {
		if err := checkVersionID("VersionId", in.VersionId); err != nil {
			return err
		}
	}
	if in.VersionStage != "" {
		return checkLabel(in.VersionStage)
	}
	return nil
}

func (s *Server) getSecretValue(in getSecretValueInput) (getSecretValueOutput, error) {
	if err := in.check(); err != nil {
		return getSecretValueOutput{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, state, err := s.read(in.SecretId)
	if err != nil {
		return getSecretValueOutput{}, err
	}
	if state.markedForDeletion() {
		return getSecretValueOutput{}, errMarked
	}
	v, err := state.selectVersion(in.VersionId, in.VersionStage)
	if err != nil {
		return getSecretValueOutput{}, err
	}
	if code := s.undecryptable[v.id]; code != "" {
		return getSecretValueOutput{}, awsjson.Faultf(code, "Secrets Manager can't decrypt the protected secret text "+
			"using the provided KMS key.")
	}
	r.lastRead = day(s.now())
	r.accessed[v.id] = r.lastRead
	out := getSecretValueOutput{
		ARN: state.arn, Name: state.name, VersionId: v.id, VersionStages: state.stages(v.id),
		CreatedDate: awsjson.NewTimestamp(v.created),
	}
	if v.value.binary != nil {
		out.SecretBinary = v.value.binary
	} else {
		out.SecretString = &v.value.text
	}
	return out, nil
}

// selectVersion returns the version that GetSecretValue asks for. A version that a rotation
// registered is not found until it has a value.
func (s *secret) selectVersion(id, label string) (*version, error) {
	by, what := "VersionId", id
	if id == "" {
		if label == "" {
			label = current
		}
		by, what = "staging label", label
		id = s.labels[label]
	}
	v := s.versions[id]
	if v == nil || v.value == nil {
		return nil, notFound("Secrets Manager can't find the specified secret value for %s: %s", by, what)
	}
	if label != "" && s.labels[label] != id {
		return nil, invalidRequest("You provided a VersionStage that is not associated to the provided VersionId.")
	}
	return v, nil
}

type putSecretValueInput struct {
	SecretId           string
	ClientRequestToken string
	SecretString       *string
	SecretBinary       []byte
	VersionStages      []string
	RotationToken      *string
}

type putSecretValueOutput struct {
	ARN           string
	Name          string
	VersionId     string
	VersionStages []string `json:",omitempty"`
}

func (in putSecretValueInput) check() (*value, error) {
	if err := checkToken(in.ClientRequestToken); err != nil {
		return nil, err
	}
	if err := checkLabels(in.VersionStages); err != nil {
		return nil, err
	}
	if err := checkRotationToken(in.RotationToken); err != nil {
		return nil, err
	}
	v, err := valueOf(in.SecretString, in.SecretBinary)
	if v == nil && err == nil {
		return nil, invalidRequest("You must provide either SecretString or SecretBinary.")
	}
	return v, err
}

func (s *Server) putSecretValue(in putSecretValueInput) (putSecretValueOutput, error) {
	v, err := in.check()
	if err != nil {
		return putSecretValueOutput{}, err
	}
	labels := in.VersionStages
	if labels == nil {
		labels = []string{current}
	}
	state, err := s.change(in.SecretId, func(r *record, next *secret) error {
		if err := r.checkRotationToken(in); err != nil {
			return err
		}
		if old := next.versions[in.ClientRequestToken]; old != nil && old.value != nil {
			if old.value.equal(v) {
				return errUnchanged // the labels do not move either
			}
			return errTokenUsed(in.ClientRequestToken, next.arn)
		}
		s.store(r, next, in.ClientRequestToken, v, labels)
		return nil
	})
	if err != nil {
		return putSecretValueOutput{}, err
	}
	return putSecretValueOutput{
		ARN: state.arn, Name: state.name, VersionId: in.ClientRequestToken,
		VersionStages: state.stages(in.ClientRequestToken),
	}, nil
}

// store creates a version, or fills the empty version of the rotation, and attaches the labels.
func (s *Server) store(r *record, next *secret, token string, v *value, labels []string) {
	now := s.now()
	manual := r.rotation == nil || r.rotation.token != token
	if manual && r.rotation.active() && next.labels[pending] == r.rotation.token {
		delete(next.labels, pending) // the service abandons the rotation; commit emits the event
	}
	first := !next.hasValue()
	next.add(token, v, now)
	oldCurrent := next.labels[current]
	next.attachAll(labels, token)
	if first { // the first value is always current
		next.attach(current, token)
	}
	// If the interval is set in days, a value that is changed outside a rotation counts as a
	// rotation.
	if c := &next.rotation; manual && c.enabled && c.rules.AutomaticallyAfterDays != nil &&
		next.labels[current] != oldCurrent {
		c.next = c.rules.next(now)
	}
}

func errTokenUsed(token, arn string) error {
	return awsjson.Faultf("ResourceExistsException",
		"You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token,
		arn)
}
