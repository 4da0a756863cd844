// Package awskms implements DescribeKey and GetKeyPolicy of AWS Key Management Service on loopback.
// It encrypts nothing.
//
// It follows the AWS KMS API Reference (2014-11-01). Tests add the keys. The package never checks a
// signature or a permission.
package awskms

import (
	"net/http"
	"strings"
	"sync"

	"quilt-rotate/internal/sandbox/awsjson"
	"quilt-rotate/internal/sandbox/clock"
)

// Target is the prefix of the operation in X-Amz-Target.
const Target = "TrentService."

// A Key is a KMS key of the account.
type Key struct {
	Policy string // JSON
	State  string // empty: Enabled
}

// A Server is the service of one account and region. It is safe for concurrent use.
type Server struct {
	Clock           *clock.Clock
	Region, Account string

	mu   sync.Mutex
	keys map[string]Key
}

// Operation returns the name of the operation that a request calls.
func Operation(r *http.Request, _ []byte) string { return awsjson.OperationOf(Target, r) }

// Put adds or replaces the key with this id, and returns its ARN.
func (s *Server) Put(id string, key Key) (arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string]Key{}
	}
	s.keys[id] = key
	return s.arn() + id
}

func (s *Server) arn() string { return "arn:aws:kms:" + s.Region + ":" + s.Account + ":key/" }

// ServeHTTP serves the service's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(&awsjson.Service{Target: Target, Message: "message", Now: s.Clock.Now, Operations: map[string]awsjson.Operation{
		"DescribeKey":  awsjson.NewStrictOperation(s.describeKey),
		"GetKeyPolicy": awsjson.NewStrictOperation(s.getKeyPolicy),
	}}).ServeHTTP(w, r)
}

func (s *Server) find(idOrARN string) (id string, key Key, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id = strings.TrimPrefix(idOrARN, s.arn())
	key, ok := s.keys[id]
	if !ok {
		return "", key, awsjson.Faultf("NotFoundException", "Key '%s%s' does not exist", s.arn(), id)
	}
	return id, key, nil
}

type keyInput struct{ KeyId string }

type describeKeyOutput struct {
	KeyMetadata struct{ KeyId, Arn, KeyManager, KeyState string }
}

func (s *Server) describeKey(in keyInput) (out describeKeyOutput, err error) {
	id, key, err := s.find(in.KeyId)
	m := &out.KeyMetadata
	m.KeyId, m.Arn, m.KeyManager, m.KeyState = id, s.arn()+id, "CUSTOMER", key.State
	if key.State == "" {
		m.KeyState = "Enabled"
	}
	return out, err
}

type policyInput struct{ KeyId, PolicyName string }

type policyOutput struct{ Policy, PolicyName string }

// Unlike DescribeKey, GetKeyPolicy does not accept an alias.
func (s *Server) getKeyPolicy(in policyInput) (policyOutput, error) {
	_, key, err := s.find(in.KeyId)
	return policyOutput{key.Policy, "default"}, err
}
