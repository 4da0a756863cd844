package awssecrets

import (
	"net/http"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

const target = "secretsmanager."

// Operation names the operation that a request asks for.
func Operation(r *http.Request, _ []byte) string { return awsjson.OperationOf(target, r) }

// api is the service's wire protocol.
func (s *Server) api() *awsjson.Service {
	return &awsjson.Service{Target: target, Message: "Message", Now: s.now, Operations: map[string]awsjson.Operation{
		"CancelRotateSecret":           awsjson.Of(s.cancelRotateSecret),
		"CreateSecret":                 awsjson.Of(s.createSecret),
		"DeleteResourcePolicy":         awsjson.Of(s.deleteResourcePolicy),
		"DeleteSecret":                 awsjson.Of(s.deleteSecret),
		"DescribeSecret":               awsjson.Of(s.describeSecret),
		"StopReplicationToReplica":     awsjson.Of(s.stopReplicationToReplica),
		"GetRandomPassword":            awsjson.Of(s.getRandomPassword),
		"GetResourcePolicy":            awsjson.Of(s.getResourcePolicy),
		"GetSecretValue":               awsjson.Of(s.getSecretValue),
		"ListSecretVersionIds":         awsjson.Of(s.listSecretVersionIDs),
		"ListSecrets":                  awsjson.Of(s.listSecrets),
		"PutResourcePolicy":            awsjson.Of(s.putResourcePolicy),
		"PutSecretValue":               awsjson.Of(s.putSecretValue),
		"RemoveRegionsFromReplication": awsjson.Of(s.removeRegionsFromReplication),
		"ReplicateSecretToRegions":     awsjson.Of(s.replicateSecretToRegions),
		"RestoreSecret":                awsjson.Of(s.restoreSecret),
		"RotateSecret":                 awsjson.Of(s.rotateSecret),
		"TagResource":                  awsjson.Of(s.tagResource),
		"UntagResource":                awsjson.Of(s.untagResource),
		"UpdateSecret":                 awsjson.Of(s.updateSecret),
		"UpdateSecretVersionStage":     awsjson.Of(s.updateSecretVersionStage),
	}}
}

// ServeHTTP is the service's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.wire.ServeHTTP(w, r) }

// day is how exact the service is about accesses.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
