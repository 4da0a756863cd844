package rotation

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/retry"
	"quilt-rotate/internal/telemetry"
	"quilt-rotate/internal/vault"
)

// Names of the metrics.
const (
	MetricStepDuration   = "StepDuration"
	MetricStepSucceeded  = "StepSucceeded"
	MetricStepFailed     = "StepFailed"
	MetricSelfHealed     = "SelfHealed"
	MetricBeforeFirstKey = "StepFailedBeforeFirstKey"
	MetricNewKeyDiffers  = "NewKeyDiffers"
)

// Names of the metrics' dimensions.
const (
	DimensionStep      = "Step"
	DimensionErrorType = "ErrorType"
)

// Handler is the Lambda function. It reads the event, carries out the step, and writes one log line
// and one line of metrics about it. If the step fails, a second line counts the error by its type.
// It implements lambda.Handler.
type Handler struct {
	Rotator *Rotator
	Log     *slog.Logger
	Metrics *telemetry.Metrics
}

// Invoke carries out the step that the event asks for. The answer is empty, because Secrets Manager
// reads only whether the call succeeded.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	start := time.Now()
	ctx, cancel := retry.WithMargin(ctx)
	defer cancel()
	var report Report
	req, err := ParseEvent(payload)
	if err == nil {
		report, err = h.Rotator.Run(ctx, req)
	}
	err = fault.Named(err)
	h.log(ctx, req, report, time.Since(start), err)
	if err != nil {
		return nil, err
	}
	return []byte("null"), nil
}

// ParseEvent reads Secrets Manager's event. It fails with [*fault.BadEvent], and never quotes the
// event, which holds a RotationToken.
func ParseEvent(payload []byte) (Request, error) {
	var event events.SecretsManagerSecretRotationEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return Request{}, fault.New[fault.BadEvent]("the event is not a JSON object with the strings Step, " +
			"SecretId and ClientRequestToken; call this function through RotateSecret")
	}
	return Request{
		Step: Step(event.Step), SecretID: event.SecretID, Token: event.ClientRequestToken,
		RotationToken: redact.New(event.RotationToken),
	}, nil
}

func (h *Handler) log(ctx context.Context, req Request, report Report, took time.Duration, err error) {
	secret := report.SecretARN
	if secret == "" && vault.IsSecretID(req.SecretID) {
		secret = req.SecretID
	}
	step := "unknown" // the event's free text must not become a dimension of a metric
	if req.Step.known() {
		step = string(req.Step)
	}
	attrs := []slog.Attr{
		slog.String("step", step), slog.String("outcome", outcome(report, err)),
		slog.Int64("durationMs", took.Milliseconds()),
		slog.String("secret", secret), slog.String("version", redact.Clip(req.Token, 64)),
	}
	fingerprint, unidentified := "", ""
	if !report.Key.IsZero() {
		fingerprint = report.Key.Fingerprint()
	}
	if report.Unidentified {
		unidentified = "the registry's list does not show which key is the current one: it stays valid until it expires"
	}
	for _, a := range []slog.Attr{
		slog.String("keyId", report.KeyID), slog.String("fingerprint", fingerprint), slog.String("owner", report.Owner),
		slog.String("unidentified", unidentified), slog.String("differs", report.Differs),
		slog.String("replacedVersion", report.Replaced), slog.String("replacedKeyId", report.ReplacedKeyID),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	level, message := slog.LevelInfo, "step done"
	if err != nil {
		level, message = slog.LevelError, "step failed"
		attrs = append(attrs, slog.String("errorType", fault.TypeName(err)), slog.String("error", err.Error()))
	} else if report.NotBootstrapped || report.Unidentified || report.Differs != "" {
		level = slog.LevelWarn
	}
	h.Log.LogAttrs(ctx, level, message, attrs...)
	h.measure(step, secret, report, took, err)
}

func (h *Handler) measure(step, secret string, report Report, took time.Duration, err error) {
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	properties := []telemetry.Label{{Name: "secret", Value: secret}}
	h.Metrics.Emit(&telemetry.Label{Name: DimensionStep, Value: step}, properties,
		telemetry.Sample{Name: MetricStepDuration, Unit: telemetry.Milliseconds,
			Value: float64(took.Microseconds()) / 1000},
		telemetry.Sample{Name: MetricStepSucceeded, Unit: telemetry.Count, Value: flag(err == nil)},
		telemetry.Sample{Name: MetricSelfHealed, Unit: telemetry.Count,
			Value: flag(report.SelfHealed && !report.NotBootstrapped)},
		telemetry.Sample{Name: MetricBeforeFirstKey, Unit: telemetry.Count,
			Value: flag(err != nil && report.NotBootstrapped)},
		telemetry.Sample{Name: MetricNewKeyDiffers, Unit: telemetry.Count, Value: flag(report.Differs != "")})
	// A rotation before the first key counts neither as failed nor as healed. It has a metric of
	// its own, like such a sweep.
	if err != nil && !report.NotBootstrapped {
		h.Metrics.Emit(&telemetry.Label{Name: DimensionErrorType, Value: fault.TypeName(err)}, properties,
			telemetry.Sample{Name: MetricStepFailed, Unit: telemetry.Count, Value: 1})
	}
}

func outcome(report Report, err error) string {
	switch {
	case err != nil && report.SelfHealed:
		return "failed, AWSPENDING removed"
	case err != nil:
		return "failed"
	case report.AlreadyDone:
		return "already current"
	case report.NotBootstrapped:
		return "waits for its first key"
	}
	return "ok"
}
