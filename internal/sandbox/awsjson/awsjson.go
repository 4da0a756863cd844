// Package awsjson is the server's side of AWS JSON 1.1, the protocol of Secrets Manager, CloudWatch
// Logs and ECS: POST /, the operation in X-Amz-Target, JSON both ways, an error's code in __type
// (Smithy 2.0 specification, "AWS JSON 1.1 protocol").
//
// It knows no service: each of the sandbox's hands it its operations and its clock. It never checks
// a signature, and never quotes a request's body, which can hold a secret.
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

// A Fault is an error of the service: a code that programs act on and a text that people read.
type Fault struct {
	Code    string
	Message string
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Faultf makes a Fault, its text as fmt.Sprintf would.
func Faultf(code, format string, args ...any) error {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// An Operation decodes its input, does its work and returns its output.
type Operation func(body []byte) (output any, err error)

// Nothing is the output of operations that answer with an empty body.
type Nothing struct{}

// Of makes an operation of a function. What the input has no member for is ignored, as AWS does.
func Of[In, Out any](do func(In) (Out, error)) Operation { return operation(do, false) }

// Strictly makes an operation that refuses what its input has no member for: the service would act
// on it, and the sandbox does not.
func Strictly[In, Out any](do func(In) (Out, error)) Operation { return operation(do, true) }

func operation[In, Out any](do func(In) (Out, error), strict bool) Operation {
	return func(body []byte) (any, error) {
		var in In
		decoder := json.NewDecoder(bytes.NewReader(body))
		if strict {
			decoder.DisallowUnknownFields()
		}
		// json.Valid refuses what follows the document, which a Decoder leaves alone. The text of
		// encoding/json is not told on: it can quote the body.
		if !json.Valid(body) || decoder.Decode(&in) != nil {
			return nil, Faultf("SerializationException", "The request body is not the JSON that this operation takes.")
		}
		return do(in)
	}
}

// A Service answers the requests of one service.
type Service struct {
	Target     string // what stands before the operation in X-Amz-Target, such as "secretsmanager."
	Operations map[string]Operation
	Message    string           // the member of an error that holds its text: "Message" or "message"
	Now        func() time.Time // of each answer's Date
}

// OperationOf names the operation that a request asks of the service with this target.
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

// ServeHTTP answers a request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	output, err := s.serve(w, r)
	// The Date of every answer, errors too, is the sandbox's: callers take their time from it.
	w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", NewUUID())
	if err != nil {
		s.writeFault(w, err)
		return
	}
	if _, empty := output.(Nothing); empty {
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
	_, _ = w.Write(Document(s.Message, fault))
}

// Document is a fault on the wire; member is the name under which it has its text.
func Document(member string, fault *Fault) []byte {
	return fmt.Appendf(nil, `{"__type":%s,%s:%s}`, quoted(fault.Code), quoted(member), quoted(fault.Message))
}

func quoted(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always encodes
	}
	return quoted
}

// A Moment is a time as the protocol writes it: seconds since 1970 with milliseconds. With omitzero
// the zero Moment is left out.
type Moment struct{ time.Time }

// At is the moment of a time.
func At(t time.Time) Moment { return Moment{t} }

// MarshalJSON writes the moment as the protocol does.
func (m Moment) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(m.UnixMilli())/1000, 'f', 3, 64), nil
}

// NewUUID is a random UUID (RFC 9562, version 4), as the services name requests.
func NewUUID() string {
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
