// Package rotation carries out the four steps in which Secrets Manager rotates a secret:
// createSecret, setSecret, testSecret, finishSecret. Together they replace the Quilt API key in the
// secret's value and change nothing else in it. Read steps.go first.
//
// It relies on the contract of a rotation function (AWS Secrets Manager User Guide, "Rotation by
// Lambda function"). It keeps no state: each step may run again, alone, out of order or twice at
// the same time, in a new process or in one that has just served another secret. A step may stall
// anywhere and continue long after its caller gave up. So each step starts with DescribeSecret.
//
// It never marks or revokes a key that a version of the secret has held: the sweep does that
// (package revocation). It revokes only a key that it created itself and that is known never to be
// stored.
package rotation

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/retry"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Vault is what the steps need of Secrets Manager. [vault.Vault] implements it. Every method may be
// called again, and may run twice at the same time.
type Vault interface {
	// The reads change nothing, and nothing follows from a failure. If Describe does not show a
	// label, or ReadIfAny returns vault.ErrNoValue, the read may lag behind a write. Await and Read
	// wait for that first. A value never changes. A label may move between two calls.
	Describe(ctx context.Context, secretID string) (vault.Secret, error)
	Await(ctx context.Context, secretID string, expected func(vault.Secret) bool) (vault.Secret, error)
	Read(ctx context.Context, secretARN, versionID string) (redact.Text, error)
	ReadIfAny(ctx context.Context, secretARN, versionID string) (redact.Text, error)
	ReadCurrent(ctx context.Context, secretID string) (redact.Text, error)

	// PutPending stores value and labels together or not at all. If it fails, they may still be
	// stored, now or later: only the version's value shows it. If two calls run at the same time,
	// the value of the first stays, and the second fails.
	PutPending(ctx context.Context, n vault.NewValue) error

	// The moves succeed if the label is at its target afterwards, whoever moved it. If they fail,
	// it was not seen there, and the request may still take effect later. Promote and Move fail if
	// the label is no longer on from, because an edit or a concurrent run moved it elsewhere.
	Promote(ctx context.Context, secretARN, to, from string) error
	Attach(ctx context.Context, secretARN, label, to string) error
	Move(ctx context.Context, secretARN, label, to, from string) error
	Detach(ctx context.Context, secretARN, label, from string) error
}

// Step is one of the four steps, with its name in the event.
type Step string

// The four steps, in their order.
const (
	Create Step = "createSecret"
	Set    Step = "setSecret"
	Test   Step = "testSecret"
	Finish Step = "finishSecret"
)

func (s Step) known() bool { return s == Create || s == Set || s == Test || s == Finish }

// Request asks for one step.
type Request struct {
	Step          Step
	SecretID      string      // full ARN; emulators send the name
	Token         string      // the rotation's ClientRequestToken: the id of the new version
	RotationToken redact.Text // proves that a put belongs to the rotation; emulators send none
}

// Rotator carries out steps. It is safe for concurrent use.
type Rotator struct {
	Vault    Vault
	Registry issuer.Registry
	Settings settings.Rotate
	Log      *slog.Logger

	// NewKeyWait is how long a login with a refused new key is repeated, if the deadline allows it.
	// Zero means 20 seconds. A test run that IAM refuses is repeated for the same time.
	NewKeyWait time.Duration
}

// run is one step with what DescribeSecret returned at its start.
type run struct {
	*Rotator
	Request
	secret   vault.Secret
	current  vault.Version
	value    apikey.Value // of the current version
	settings settings.Rotation
	report   *Report
}

// Report is what the log line and the metrics of a step contain.
type Report struct {
	SecretARN       string
	KeyID           string     // of the pending key
	Key             apikey.Key // the pending key; shows as its fingerprint
	Owner           string
	AlreadyDone     bool   // the version is already current
	SelfHealed      bool   // AWSPENDING was removed
	NotBootstrapped bool   // the secret still waits for its first key
	Unidentified    bool   // the current key's id could not be found: it stays valid until it expires
	Differs         string // how the new key differs from the request
	Replaced        string // the version that was current until finishSecret moved AWSCURRENT
	ReplacedKeyID   string // the id in that version's key label
}

// Run carries out one step. If it fails, the report contains what is known until then.
func (r *Rotator) Run(ctx context.Context, req Request) (Report, error) {
	again := func(err error) bool { return req.Step == Test && denied(err) }
	return retry.While(ctx, r.waits(), again, func() (report Report, err error) {
		err = r.step(ctx, req, &report)
		return report, err
	})
}

// denied reports whether IAM refused a call of the step. A test run, which only reads, is then
// tried again: Secrets Manager starts it in the deployment that created the function's role, and a
// change in IAM is not visible everywhere at once (IAM user guide, "Changes that I make are not
// always immediately visible").
func denied(err error) bool {
	refusal, ok := errors.AsType[*vault.Error](err)
	return ok && refusal.Code == "AccessDeniedException"
}

func (r *Rotator) step(ctx context.Context, req Request, report *Report) error {
	run, err := r.begin(ctx, req, report)
	if err != nil || report.AlreadyDone {
		return err
	}
	run.value, err = run.read(ctx, vault.Current, run.current.ID)
	_, report.NotBootstrapped = errors.AsType[*fault.NotBootstrapped](err)
	switch {
	case report.NotBootstrapped && req.Step == Create:
		return run.giveUp(ctx, err)
	case report.NotBootstrapped && req.Step == Test: // the test run of a new deployment must not raise an alarm
		return nil
	case err != nil:
		return err
	}
	switch req.Step {
	case Create:
		return run.createSecret(ctx)
	case Set:
		return run.setSecret(ctx)
	case Test:
		return run.testSecret(ctx)
	default: // Finish; begin has refused every other name
		return run.finishSecret(ctx)
	}
}

// begin makes the checks that every step starts with.
func (r *Rotator) begin(ctx context.Context, req Request, report *Report) (*run, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	secret, err := r.Vault.Await(ctx, req.SecretID, func(s vault.Secret) bool {
		v, known := s.Versions[req.Token] // a description that lags does not show the rotation yet
		return s.Deleted || known && (v.Has(vault.Pending) || v.Has(vault.Current))
	})
	if err != nil {
		return nil, err
	}
	report.SecretARN = secret.ARN
	if err := checkVersion(secret, req, report); err != nil || report.AlreadyDone {
		return nil, err
	}
	if err := r.checkRotationOn(ctx, secret, req.Step); err != nil {
		return nil, err
	}
	tags, err := r.Settings.ForSecret(secret.Tags)
	if err != nil {
		return nil, err
	}
	if err := fault.InPlace(secret, tags.Registry, r.Settings.RegistryURL); err != nil {
		return nil, err
	}
	current, ok := secret.Holder(vault.Current)
	if !ok {
		report.NotBootstrapped = true
		return nil, fault.New[fault.NotBootstrapped]("the secret %s has no value; run: quilt-rotate bootstrap %s",
			secret.ARN, secret.Name)
	}
	report.KeyID = secret.Versions[req.Token].Key()
	return &run{Rotator: r, Request: req, secret: secret, current: current, settings: tags, report: report}, nil
}

func (req Request) check() error {
	switch {
	case !req.Step.known():
		return fault.New[fault.BadEvent]("the event's Step is %q; it must be createSecret, setSecret, "+
			"testSecret or finishSecret", redact.Clip(string(req.Step), 40))
	case !vault.IsSecretID(req.SecretID):
		return fault.New[fault.BadEvent]("the event's SecretId is not the ARN of a secret; " +
			"call this function through RotateSecret")
	case req.Token == "":
		return fault.New[fault.BadEvent]("the event has no ClientRequestToken; call this function through RotateSecret")
	}
	return nil
}

func checkVersion(secret vault.Secret, req Request, report *Report) error {
	version, known := secret.Versions[req.Token]
	switch {
	case secret.Deleted:
		return fault.New[fault.SecretDeleted]("the secret %s is marked for deletion; "+
			"restore it, or remove its rotation", secret.ARN)
	case !known:
		return fault.New[fault.UnknownVersion]("the secret %s has no labelled version %q; "+
			"start the rotation with RotateSecret", secret.ARN, redact.Clip(req.Token, 64))
	case version.Has(vault.Current):
		report.AlreadyDone = true
	case !version.Has(vault.Pending):
		return fault.New[fault.NotPending]("the version %s of %s does not have AWSPENDING: "+
			"its rotation was abandoned; start another with RotateSecret", req.Token, secret.ARN)
	}
	return nil
}

// checkRotationOn accepts a test run while rotation is off: what DescribeSecret returns during the
// first test run of a secret is not documented.
func (r *Rotator) checkRotationOn(ctx context.Context, secret vault.Secret, step Step) error {
	switch {
	case secret.Rotation.Enabled:
		return nil
	case step == Test:
		r.Log.WarnContext(ctx, "rotation is not switched on: only a test run is expected", "secret", secret.ARN)
		return nil
	default:
		return fault.New[fault.RotationOff]("rotation of the secret %s is not switched on; "+
			"switch it on with RotateSecret or the stack", secret.ARN)
	}
}

// read reads the value of a version, which must exist, and finds the key in it.
func (r *run) read(ctx context.Context, stage, versionID string) (apikey.Value, error) {
	value, err := vault.ReadValue(ctx, r.Vault.Read, r.secret.ARN, versionID, r.settings.Field)
	return value, fault.InValue(stage, r.secret, err)
}

func (r *run) readPending(ctx context.Context) (apikey.Value, error) {
	pending, err := r.read(ctx, vault.Pending, r.Token)
	r.report.Key = pending.Key()
	return pending, err
}
