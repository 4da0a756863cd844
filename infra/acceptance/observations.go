package main

import "time"

// observations are what a run has seen. nil means that it was not seen. The checks judge them.
type observations struct {
	Enforced *bool // a permission that a policy of the secret denies was refused

	Registry *registryAnswers
	Quilt3   *program

	FirstTest  []logLine // of the rotate function, between the deployment and the first key
	Refused    []logLine // of both functions: IAM refused a request, although nothing was denied yet
	StepsDone  int       // steps and sweeps that succeeded before anything was denied
	Longest    time.Duration
	NotReached *string // why no function has answered; "": one has

	Labels      *labelsPut
	AfterCancel *rotator
	AfterStep   *pendingAfter
	Failing     *failing
	Stranger    *string // what the function answered about a secret that it does not serve
	Stages      *stages

	Watched time.Duration // how long the run waited for events
	Events  []labelEvent
	Service []serviceEvent
	Retry   *retryPolicy
}

// A program that was run as a consumer.
type program struct {
	Missing string // why it could not run; "": it ran
	Failed  string // "": it has listed the keys
}

// labelsPut are the labels of a version that was stored with two labels in one call.
type labelsPut struct{ Asked, Answered, Described []string }

// rotator is the rotation function of a secret before and after its rotation was cancelled.
type rotator struct{ Before, After string }

// pendingAfter is the version with AWSPENDING after a successful rotation.
type pendingAfter struct{ Current, Pending string } // versions; "": none has it

// failing is a rotation that had to fail in createSecret.
type failing struct {
	Tries             []logLine
	Waited            time.Duration
	LastRotatedBefore time.Time
	LastRotatedAfter  time.Time
}

// stages is the effect of a policy that denies moving one staging label.
type stages struct {
	CurrentRefused bool // moving AWSCURRENT, which was denied
	LabelMoved     bool // moving a label of ours, which was not
}

// labelEvent is an event "Secret Label Updated".
type labelEvent struct {
	Source, Name, Label, Version, Resource string
	Expected                               bool // the version did get the label
}

// serviceEvent is an event of Secrets Manager itself, which only an account with a trail gets.
type serviceEvent struct {
	Name, RequestID string
	HasToken        bool // the request id ends with the version of the rotation
}

// retryPolicy is the retry policy of the schedule of the sweeps.
type retryPolicy struct{ Attempts, Seconds int }

// logLine is a line that the functions log for a step or a sweep.
type logLine struct {
	At        time.Time
	Message   string
	Step      string
	Outcome   string
	Secret    string
	Version   string
	ErrorType string
	Error     string
	Took      time.Duration
}

// registryAnswers are the registry's answers to requests that a rotation depends on. The requests
// are made with the current key.
type registryAnswers struct {
	Create, List, Revoke string // errors; "": it may

	AskedName, GotName string
	Accepted           time.Duration // from the creation of a key until it logged in
	NotAccepted        string        // why it never did

	Used       time.Time  // by the registry's clock
	LastUsed   *time.Time // what the registry then recorded
	LastUsed2  *time.Time // after one more use
	ByText     string     // error of a revocation by the key's own text; "": Ok
	Absent     string     // answer to the revocation of an id that no longer exists: Ok, InvalidInput or an error
	StillValid bool       // the revoked key logged in
}
