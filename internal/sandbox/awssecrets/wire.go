package awssecrets

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	targetPrefix = "secretsmanager."
	contentType  = "application/x-amz-json-1.1"
	maxBody      = 1 << 20
)

// Operation names the operation that a request asks for.
func Operation(r *http.Request, _ []byte) string {
	target := r.Header.Get("X-Amz-Target")
	if name, ok := strings.CutPrefix(target, targetPrefix); ok {
		return name
	}
	if target != "" {
		return target
	}
	return r.Method + " " + r.URL.Path
}

// An operation decodes its input, does its work and returns its output, nil for none.
type operation func(s *Server, body []byte) (any, error)

func of[In, Out any](do func(*Server, In) (Out, error)) operation {
	return func(s *Server, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			// The text of encoding/json can quote the body, which can be a secret.
			return nil, faultf("SerializationException", "The request body is not the JSON that this operation takes.")
		}
		return do(s, in)
	}
}

// nothing is the output of operations that answer with an empty body.
type nothing struct{}

var operations = map[string]operation{
	"CancelRotateSecret":           of((*Server).cancelRotateSecret),
	"CreateSecret":                 of((*Server).createSecret),
	"DeleteResourcePolicy":         of((*Server).deleteResourcePolicy),
	"DeleteSecret":                 of((*Server).deleteSecret),
	"DescribeSecret":               of((*Server).describeSecret),
	"GetRandomPassword":            of((*Server).getRandomPassword),
	"GetResourcePolicy":            of((*Server).getResourcePolicy),
	"GetSecretValue":               of((*Server).getSecretValue),
	"ListSecretVersionIds":         of((*Server).listSecretVersionIDs),
	"ListSecrets":                  of((*Server).listSecrets),
	"PutResourcePolicy":            of((*Server).putResourcePolicy),
	"PutSecretValue":               of((*Server).putSecretValue),
	"RemoveRegionsFromReplication": of((*Server).removeRegionsFromReplication),
	"ReplicateSecretToRegions":     of((*Server).replicateSecretToRegions),
	"RestoreSecret":                of((*Server).restoreSecret),
	"RotateSecret":                 of((*Server).rotateSecret),
	"TagResource":                  of((*Server).tagResource),
	"UntagResource":                of((*Server).untagResource),
	"UpdateSecret":                 of((*Server).updateSecret),
	"UpdateSecretVersionStage":     of((*Server).updateSecretVersionStage),
}

// ServeHTTP speaks AWS JSON 1.1: POST /, the operation in X-Amz-Target, JSON both ways.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	output, err := s.serve(w, r)
	// The Date of every answer, errors too, is the sandbox's: callers take their time from it.
	w.Header().Set("Date", s.now().Format(http.TimeFormat))
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", newUUID())
	if err != nil {
		writeFault(w, err)
		return
	}
	if _, empty := output.(nothing); empty {
		w.WriteHeader(http.StatusOK)
		return
	}
	body, err := json.Marshal(output)
	if err != nil {
		writeFault(w, err)
		return
	}
	_, _ = w.Write(body)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	do := operations[Operation(r, nil)]
	if do == nil || r.Method != http.MethodPost || r.URL.Path != "/" {
		return nil, faultf("UnknownOperationException", "")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, faultf("SerializationException", "The request body cannot be read.")
	}
	return do(s, body)
}

func writeFault(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var f *fault
	if !errors.As(err, &f) {
		status, f = http.StatusInternalServerError, &fault{code: "InternalServiceError", message: err.Error()}
	}
	body, _ := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string
	}{f.code, f.message}) // two strings always marshal
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// A moment is a time as the protocol writes it: seconds since 1970 with milliseconds. The zero moment is left out.
type moment struct{ time.Time }

func (m moment) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(m.UnixMilli())/1000, 'f', 3, 64), nil
}

// day is how exact the service is about accesses.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the process instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
