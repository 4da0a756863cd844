package awslambda

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A permission is a request of AddPermission.
type permission struct {
	StatementID   string `json:"StatementId"`
	Action        string
	Principal     string
	SourceArn     string
	SourceAccount string
}

// A statement is a permission in the format of the function's policy.
type statement struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

func (p permission) statement(arn string) statement {
	s := statement{Sid: p.StatementID, Effect: "Allow", Principal: p.principal(), Action: p.Action, Resource: arn}
	conditions := map[string]map[string]string{}
	if p.SourceAccount != "" {
		conditions["StringEquals"] = map[string]string{"AWS:SourceAccount": p.SourceAccount}
	}
	if p.SourceArn != "" {
		conditions["ArnLike"] = map[string]string{"AWS:SourceArn": p.SourceArn}
	}
	if len(conditions) > 0 {
		s.Condition = conditions
	}
	return s
}

func (p permission) principal() any {
	switch {
	case p.Principal == "*":
		return "*"
	case strings.HasSuffix(p.Principal, ".amazonaws.com"):
		return map[string]string{"Service": p.Principal}
	case accountPattern.MatchString(p.Principal):
		return map[string]string{"AWS": "arn:aws:iam::" + p.Principal + ":root"}
	default:
		return map[string]string{"AWS": p.Principal}
	}
}

// addPermission adds a statement to the function's policy.
func (h *Host) addPermission(f *function, p permission) (statement, error) {
	if p.StatementID == "" || p.Action == "" || p.Principal == "" {
		return statement{}, invalidParameter("StatementId, Action and Principal must not be empty")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.current == nil {
		return statement{}, errPolicyNotFound
	}
	if slices.ContainsFunc(f.policy, func(s statement) bool { return s.Sid == p.StatementID }) {
		return statement{}, &Error{Status: http.StatusConflict, Code: "ResourceConflictException",
			Message: fmt.Sprintf("The statement id (%s) provided already exists. Please provide a new statement id, "+
				"or remove the existing statement.", p.StatementID)}
	}
	s := p.statement(f.current.arn)
	f.policy = append(f.policy, s)
	return s, nil
}

var errPolicyNotFound = &Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException",
	Message: "The resource you requested does not exist."}

// policyOf returns the function's policy. Without a statement, the service answers that the policy
// is not found.
func (h *Host) policyOf(f *function) (document []byte, revision string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(f.policy) == 0 {
		return nil, "", errPolicyNotFound
	}
	document, err = json.Marshal(struct {
		Version   string
		ID        string `json:"Id"`
		Statement []statement
	}{"2012-10-17", "default", f.policy})
	return document, f.revision, err
}
