package sandbox

import (
	"net/http"
	"slices"

	"quilt-rotate/internal/sandbox/awsjson"
	"quilt-rotate/internal/sandbox/awssts"
	"quilt-rotate/internal/sandbox/wire"
)

// ExpiredToken is a hook with which every AWS call is refused because the credentials have expired:
//
//	defer s.Hooks.Set(sandbox.ExpiredToken)()
//
// The registry answers as before. The functions' own calls are refused too: a hook that is to spare
// them passes on what c.Request has not signed with [AccessKeyID].
func ExpiredToken(c *wire.Call, next func()) {
	code := "ExpiredTokenException"
	if c.Service == sts {
		code = "ExpiredToken"
	}
	refuse(c, next, code, "The security token included in the request is expired")
}

// AccessDenied is a hook with which the named actions of IAM are refused, such as
// "secretsmanager:RotateSecret", "lambda:InvokeFunction" or "ecs:UpdateService". All else passes.
func AccessDenied(actions ...string) wire.Hook {
	return func(c *wire.Call, next func()) {
		action := actionOf(c)
		if !slices.Contains(actions, action) {
			next()
			return
		}
		code := "AccessDeniedException"
		if c.Service == sts {
			code = "AccessDenied"
		}
		refuse(c, next, code, "User: "+caller.UserARN()+" is not authorized to perform: "+action+
			" because no identity-based policy allows the "+action+" action")
	}
}

// actionOf is the action that IAM knows a call by: the operation's name, but for Invoke's.
func actionOf(c *wire.Call) string {
	operation := c.Operation
	if c.Service == lambda && operation == "Invoke" {
		operation = "InvokeFunction"
	}
	return c.Service + ":" + operation
}

// refuse answers in an AWS service's place, in its protocol.
func refuse(c *wire.Call, next func(), code, message string) {
	fault := &awsjson.Fault{Code: code, Message: message}
	switch c.Service {
	case secretsManager:
		c.Respond(http.StatusBadRequest, string(awsjson.Document("Message", fault)), "Content-Type",
			"application/x-amz-json-1.1")
	case logs, ecs, ssm, kms:
		c.Respond(http.StatusBadRequest, string(awsjson.Document("message", fault)), "Content-Type",
			"application/x-amz-json-1.1")
	case lambda, scheduler:
		c.Respond(http.StatusForbidden, string(awsjson.Document("Message", fault)), "Content-Type", "application/json",
			"X-Amzn-Errortype", code)
	case sts:
		c.Respond(http.StatusForbidden, string(awssts.ErrorDocument(code, message)), "Content-Type", "text/xml")
	default:
		next() // the registry is none of AWS's
	}
}
