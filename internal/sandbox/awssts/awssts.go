// Package awssts implements two operations on loopback: GetCallerIdentity of AWS Security Token
// Service and ListAccountAliases of IAM, which has the same protocol.
//
// It follows the AWS Security Token Service API Reference (2011-06-15), the IAM API Reference
// (2010-05-08) and the AWS Query protocol: a request is POST / with a form that has Action and
// Version, and the response is XML. Every caller is the same IAM user. The package never checks a
// signature. As on AWS, GetCallerIdentity needs no permission.
package awssts

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"quilt-rotate/internal/sandbox/awsjson"
)

const (
	version = "2011-06-15"
	maxBody = 1 << 16
)

// A Server is the service for one account.
type Server struct {
	Account string
	User    string // name of the IAM user of every caller
	Alias   string // alias of the account; empty: it has none
}

// UserARN returns the ARN of the IAM user of every caller.
func (s *Server) UserARN() string { return fmt.Sprintf("arn:aws:iam::%s:user/%s", s.Account, s.User) }

// Operation returns the name of the operation that a request calls.
func Operation(r *http.Request, body []byte) string {
	form, err := url.ParseQuery(string(body))
	if action := form.Get("Action"); err == nil && action != "" {
		return action
	}
	return r.Method + " " + r.URL.Path
}

type identityResponse struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	ARN       string   `xml:"GetCallerIdentityResult>Arn"`
	UserID    string   `xml:"GetCallerIdentityResult>UserId"`
	Account   string   `xml:"GetCallerIdentityResult>Account"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

type aliasesResponse struct {
	XMLName xml.Name `xml:"https://iam.amazonaws.com/doc/2010-05-08/ ListAccountAliasesResponse"`
	Aliases []string `xml:"ListAccountAliasesResult>AccountAliases>member"`
}

type errorResponse struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// ServeHTTP serves the service's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	form, malformed := url.ParseQuery(string(body))
	id := awsjson.NewUUID()
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-Requestid", id)
	if err == nil && form.Get("Action") == "ListAccountAliases" && s.Alias != "" {
		_, _ = w.Write(document(aliasesResponse{Aliases: []string{s.Alias}}))
		return
	}
	if err != nil || malformed != nil || form.Get("Action") != "GetCallerIdentity" || form.Get("Version") != version {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(ErrorDocument("InvalidAction", "Could not find operation for version "+version))
		return
	}
	_, _ = w.Write(document(identityResponse{ARN: s.UserARN(), UserID: "AIDASANDBOXSANDBOX000", Account: s.Account,
		RequestID: id}))
}

// ErrorDocument returns the wire format of an error.
func ErrorDocument(code, message string) []byte {
	return document(errorResponse{Type: "Sender", Code: code, Message: message, RequestID: awsjson.NewUUID()})
}

func document(value any) []byte {
	text, err := xml.Marshal(value)
	if err != nil {
		panic(err) // cannot happen: strings can always be encoded
	}
	return text
}
