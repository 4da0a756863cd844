// Package awsjson implements the server side of AWS JSON 1.1, the protocol of Secrets Manager,
// CloudWatch Logs and ECS (Smithy 2.0 specification, "AWS JSON 1.1 protocol"). A request is POST /
// with the operation in the header X-Amz-Target. The request and the response are JSON. An error
// has its code in __type.
//
// A service passes its operations and its clock. The package never checks a signature. No error
// contains the request's body, because the body can contain a secret.
package awsjson

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	contentType = "application/x-amz-json-1.1"
	maxBody     = 1 << 20
)

// A Fault is an error of a service. Programs act on the code. People read the message.
type Fault struct {
	Code    string
	Message string
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Faultf returns a Fault whose message is formatted as by fmt.Sprintf.
func Faultf(code, format string, args ...any) error {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// An Operation decodes its input, does its work, and returns its output.
type Operation func(body []byte) (output any, err error)

// NoOutput is the output of an operation that returns an empty body.
type NoOutput struct{}

// NewOperation returns an operation that calls the function. It ignores unknown members of the
// input, as AWS does.
func NewOperation[In, Out any](do func(In) (Out, error)) Operation { return operation(do, false) }

// NewStrictOperation returns an operation that refuses unknown members of the input. The real
// service would act on such a member, but the sandbox would not.
func NewStrictOperation[In, Out any](do func(In) (Out, error)) Operation { return operation(do, true) }

func operation[In, Out any](do func(In) (Out, error), strict bool) Operation {
	return func(body []byte) (any, error) {
		var in In
		decoder := json.NewDecoder(bytes.NewReader(body))
		if strict {
			decoder.DisallowUnknownFields()
		}
		// json.Valid also refuses data after the document, which a Decoder ignores. The error of
		// encoding/json is not returned, because it can contain a part of the body.
		if !json.Valid(body) || decoder.Decode(&in) != nil {
			return nil, Faultf("SerializationException", "The request body is not the JSON that this operation takes.")
		}
		return do(in)
	}
}

// A Service serves the requests of one service.
type Service struct {
	Target     string // prefix of the operation in X-Amz-Target, such as "secretsmanager."
	Operations map[string]Operation
	Message    string           // name of the member that contains an error's text: "Message" or "message"
	Now        func() time.Time // for the Date header of each response
}

// OperationOf returns the name of the operation that a request calls. target is the service's
// prefix.
func OperationOf(target string, r *http.Request) string {
	given := r.Header.Get("X-Amz-Target")
	if name, ok := strings.CutPrefix(given, target); ok {
		return name
	}
	if given != "" {
		return given
	}
	return r.Method + " " + r.URL.Path
}

// ServeHTTP serves a request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	output, err := s.serve(w, r)
	// Callers take the time from the Date header. Therefore every response has the sandbox's time,
	// including errors.
	w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", NewUUID())
	if err != nil {
		s.writeFault(w, err)
		return
	}
	if _, empty := output.(NoOutput); empty {
		w.WriteHeader(http.StatusOK)
		return
	}
	body, err := json.Marshal(output)
	if err != nil {
		s.writeFault(w, err)
		return
	}
	_, _ = w.Write(body)
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	do := s.Operations[OperationOf(s.Target, r)]
	if do == nil || r.Method != http.MethodPost || r.URL.Path != "/" {
		return nil, Faultf("UnknownOperationException", "")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, Faultf("SerializationException", "The request body cannot be read.")
	}
	return do(body)
}

func (s *Service) writeFault(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var fault *Fault
	if !errors.As(err, &fault) {
		status, fault = http.StatusInternalServerError, &Fault{Code: "InternalServiceError", Message: err.Error()}
	}
	w.WriteHeader(status)
	_, _ = w.Write(ErrorDocument(s.Message, fault))
}

// ErrorDocument returns the wire format of a fault. member is the name of the member that contains
// its text.
func ErrorDocument(member string, fault *Fault) []byte {
	return fmt.Appendf(nil, `{"__type":%s,%s:%s}`, quoted(fault.Code), quoted(member), quoted(fault.Message))
}

func quoted(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // cannot happen: a string can always be encoded
	}
	return quoted
}

// A Timestamp is a time in the protocol's format: seconds since 1970 with three decimals. The tag
// omitzero omits the zero Timestamp.
type Timestamp struct{ time.Time }

// NewTimestamp returns a time as a Timestamp.
func NewTimestamp(t time.Time) Timestamp { return Timestamp{t} }

// MarshalJSON returns the timestamp in the protocol's format.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t.UnixMilli())/1000, 'f', 3, 64), nil
}

// NewUUID returns a random UUID (RFC 9562, version 4). The services use UUIDs as request ids.
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error; it ends the process instead
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
