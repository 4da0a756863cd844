package awssecrets

import (
	"net/http"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

const target = "secretsmanager."

// Operation returns the name of the operation that a request calls.
func Operation(r *http.Request, _ []byte) string { return awsjson.OperationOf(target, r) }

// api returns the handler of the service's wire protocol.
func (s *Server) api() *awsjson.Service {
	return &awsjson.Service{Target: target, Message: "Message", Now: s.now, Operations: map[string]awsjson.Operation{
		"CancelRotateSecret":           awsjson.NewOperation(s.cancelRotateSecret),
		"CreateSecret":                 awsjson.NewOperation(s.createSecret),
		"DeleteResourcePolicy":         awsjson.NewOperation(s.deleteResourcePolicy),
		"DeleteSecret":                 awsjson.NewOperation(s.deleteSecret),
		"DescribeSecret":               awsjson.NewOperation(s.describeSecret),
		"StopReplicationToReplica":     awsjson.NewOperation(s.stopReplicationToReplica),
		"GetRandomPassword":            awsjson.NewOperation(s.getRandomPassword),
		"GetResourcePolicy":            awsjson.NewOperation(s.getResourcePolicy),
		"GetSecretValue":               awsjson.NewOperation(s.getSecretValue),
		"ListSecretVersionIds":         awsjson.NewOperation(s.listSecretVersionIDs),
		"ListSecrets":                  awsjson.NewOperation(s.listSecrets),
		"PutResourcePolicy":            awsjson.NewOperation(s.putResourcePolicy),
		"PutSecretValue":               awsjson.NewOperation(s.putSecretValue),
		"RemoveRegionsFromReplication": awsjson.NewOperation(s.removeRegionsFromReplication),
		"ReplicateSecretToRegions":     awsjson.NewOperation(s.replicateSecretToRegions),
		"RestoreSecret":                awsjson.NewOperation(s.restoreSecret),
		"RotateSecret":                 awsjson.NewOperation(s.rotateSecret),
		"TagResource":                  awsjson.NewOperation(s.tagResource),
		"UntagResource":                awsjson.NewOperation(s.untagResource),
		"UpdateSecret":                 awsjson.NewOperation(s.updateSecret),
		"UpdateSecretVersionStage":     awsjson.NewOperation(s.updateSecretVersionStage),
	}}
}

// ServeHTTP serves the service's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.wire.ServeHTTP(w, r) }

// day returns the start of the day. The service records accesses by day.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
