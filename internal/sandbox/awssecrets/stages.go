package awssecrets

import "quilt-rotate/internal/sandbox/awsjson"

type updateSecretVersionStageInput struct {
	SecretId            string
	VersionStage        string
	RemoveFromVersionId string
	MoveToVersionId     string
}

func (in updateSecretVersionStageInput) check() error {
	if err := checkLabel(in.VersionStage); err != nil {
		return err
	}
	if in.MoveToVersionId == "" && in.RemoveFromVersionId == "" {
		return invalidParameter("You must specify MoveToVersionId, RemoveFromVersionId or both.")
	}
	if in.RemoveFromVersionId != "" {
		if err := checkVersionID("RemoveFromVersionId", in.RemoveFromVersionId); err != nil {
			return err
		}
	}
	if in.MoveToVersionId != "" {
		return checkVersionID("MoveToVersionId", in.MoveToVersionId)
	}
	if in.VersionStage == current {
		return invalidParameter("You can only move staging label %s to a different secret version. It can't be "+
			"completely removed.", current)
	}
	return nil
}

func (s *Server) updateSecretVersionStage(in updateSecretVersionStageInput) (secretOutput, error) {
	if err := in.check(); err != nil {
		return secretOutput{}, err
	}
	state, err := s.change(in.SecretId, func(_ *record, next *secret) error { return next.move(in) })
	if err != nil {
		return secretOutput{}, err
	}
	return secretOutput{ARN: state.arn, Name: state.name}, nil
}

// move is a compare-and-swap. A label that is on another version moves only if the caller names
// that version. The documentation does not say whether an empty version can be labelled. Here it
// can, so that tests detect a caller that makes a version current too early.
func (s *secret) move(in updateSecretVersionStageInput) error {
	label, from, to := in.VersionStage, in.RemoveFromVersionId, in.MoveToVersionId
	if to != "" && s.versions[to] == nil {
		return notFound("Secrets Manager can't find the specified secret version: %s", to)
	}
	holder, attached := s.labels[label]
	switch {
	case from != "" && from != holder:
		return invalidParameter("When you move staging label %s, if you specify RemoveFromVersionId, it must be set "+
			"to the version that currently has the staging label %s.", label, label)
	case from == "" && attached && to != holder:
		return invalidParameter("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently "+
			"attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", label,
			holder)
	case to == holder:
		return errUnchanged
	case to == "":
		delete(s.labels, label)
	default:
		s.attach(label, to)
	}
	return nil
}

type listSecretVersionIDsInput struct {
	SecretId          string
	MaxResults        *int
	NextToken         *string
	IncludeDeprecated bool
}

type listSecretVersionIDsOutput struct {
	ARN       string
	Name      string
	Versions  []versionEntry
	NextToken *string `json:",omitempty"`
}

type versionEntry struct {
	VersionId        string
	VersionStages    []string `json:",omitempty"`
	CreatedDate      awsjson.Timestamp
	LastAccessedDate awsjson.Timestamp `json:",omitzero"`
}

func (s *Server) listSecretVersionIDs(in listSecretVersionIDsInput) (listSecretVersionIDsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkSecretID(in.SecretId); err != nil {
		return listSecretVersionIDsOutput{}, err
	}
	r, err := s.find(in.SecretId)
	if err != nil {
		return listSecretVersionIDsOutput{}, err
	}
	all := r.versionEntries(in.IncludeDeprecated)
	from, to, next, err := page(len(all), in.MaxResults, in.NextToken)
	if err != nil {
		return listSecretVersionIDsOutput{}, err
	}
	return listSecretVersionIDsOutput{
		ARN: r.state.arn, Name: r.state.name, Versions: all[from:to], NextToken: next,
	}, nil
}

func (r *record) versionEntries(includeDeprecated bool) []versionEntry {
	entries := []versionEntry{}
	for _, v := range r.state.sorted() {
		stages := r.state.stages(v.id)
		if len(stages) == 0 && !includeDeprecated {
			continue
		}
		entries = append(entries, versionEntry{
			VersionId: v.id, VersionStages: stages, CreatedDate: awsjson.NewTimestamp(v.created),
			LastAccessedDate: awsjson.NewTimestamp(r.accessed[v.id]),
		})
	}
	return entries
}
