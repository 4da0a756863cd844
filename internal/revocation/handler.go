package revocation

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"quilt-rotate/internal/deadline"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/telemetry"
)

// Names of the metrics.
const (
	MetricSweepSucceeded      = "SweepSucceeded"
	MetricSweepFailed         = "SweepFailed"
	MetricSweepDuration       = "SweepDuration"
	MetricKeysRevoked         = "KeysRevoked"
	MetricKeysHeld            = "KeysHeld"
	MetricOrphans             = "Orphans"
	MetricAttention           = "KeysNeedingAttention" // see [Ends]
	MetricNotBootstrapped     = "NotBootstrapped"
	MetricOldestSuperseded    = "OldestSupersededAge"
	MetricCurrentKeyExpiresIn = "CurrentKeyDaysLeft"
	MetricCurrentKeyAge       = "CurrentKeyAge"
	MetricFreeLabels          = "FreeLabels"
	MetricRotationUnderWay    = "RotationUnderWay"
	MetricRotationOff         = "RotationOff"
	MetricRotationOverdue     = "RotationOverdue"
)

// DimensionErrorType is the dimension of failures.
const DimensionErrorType = "ErrorType"

// Handler is the Lambda function: it reads the event, sweeps, tells of it in logs and metrics, and answers with the [Result].
// It implements lambda.Handler.
type Handler struct {
	Sweeper *Sweeper
	Log     *slog.Logger
	Metrics *telemetry.Metrics
}

// Invoke carries out one sweep, or looks at what it would do.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	start := time.Now()
	ctx, cancel := deadline.WithMargin(ctx)
	defer cancel()
	result := Result{Outcome: Swept}
	req, err := ParseEvent(payload)
	if err == nil {
		result, err = h.Sweeper.Sweep(ctx, req)
	}
	err = fault.Named(err)
	if err != nil && req.DryRun { // an error would count among the function's, whose alarm would ring for somebody's look
		result.WouldFail, err = newFailure(err), nil
	}
	h.tell(ctx, req, result, time.Since(start), err)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

func (h *Handler) tell(ctx context.Context, req Request, result Result, took time.Duration, err error) {
	secret := clip(result.Secret)
	if req.DryRun {
		h.tellLook(ctx, req, result, took)
		return
	}
	for _, a := range result.Actions {
		h.tellAction(ctx, secret, a)
	}
	for _, note := range result.Notes {
		h.Log.WarnContext(ctx, note, "secret", secret)
	}
	attrs := []slog.Attr{
		slog.String("outcome", string(result.Outcome)), slog.Int64("durationMs", took.Milliseconds()),
		slog.String("secret", secret), slog.Int("actions", len(result.Actions)),
	}
	switch {
	case err != nil:
		attrs = append(attrs, slog.String("errorType", fault.TypeName(err)), slog.String("error", err.Error()))
		h.Log.LogAttrs(ctx, slog.LevelError, "sweep failed", attrs...)
	case result.Outcome == NotBootstrapped:
		h.Log.LogAttrs(ctx, slog.LevelWarn, "the secret waits for its first key", attrs...)
	default:
		h.Log.LogAttrs(ctx, slog.LevelInfo, "sweep done", attrs...)
	}
	h.measure(secret, result, took, err)
}

// tellLook writes the one line of a dry run, and no metric: a look is no sweep, and would silence the alarm for sweeps that are missing, or count
// a held key twice. Nor is a look that fails an error of the service: whoever asked has the answer.
func (h *Handler) tellLook(ctx context.Context, req Request, result Result, took time.Duration) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("outcome", string(result.Outcome)), slog.Int64("durationMs", took.Milliseconds()),
		slog.String("secret", clip(result.Secret)), slog.Int("actions", len(result.Actions)),
	}
	if f := result.WouldFail; f != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("errorType", f.ErrorType), slog.String("error", f.Error))
	}
	h.Log.LogAttrs(ctx, level, "sweep looked at", attrs...)
}

// tellAction writes one line for each action: a warning for what a person should look at.
func (h *Handler) tellAction(ctx context.Context, secret string, a Taken) {
	level, message := slog.LevelInfo, "action"
	switch {
	case a.Error != "":
		level, message = slog.LevelError, "action failed"
	case a.Action == Hold:
		level, message = slog.LevelWarn, "a superseded key is still used: find the consumer that has not fetched the current one"
	case Ends[a.Reason] != Planned:
		level, message = slog.LevelWarn, "a person should look at this key"
	}
	attrs := []slog.Attr{slog.String("action", string(a.Action)), slog.String("reason", string(a.Reason)), slog.String("secret", secret)}
	for _, text := range []struct{ name, value string }{
		{"version", a.Version}, {"keyId", a.KeyID}, {"fingerprint", a.Fingerprint}, {"owner", a.Owner}, {"error", a.Error}, {"code", a.Code},
	} {
		if text.value != "" {
			attrs = append(attrs, slog.String(text.name, text.value))
		}
	}
	if a.Until != nil {
		attrs = append(attrs, slog.Time("until", *a.Until))
	}
	if a.LastUsedAt != nil {
		attrs = append(attrs, slog.Time("lastUsedAt", *a.LastUsedAt))
	}
	h.Log.LogAttrs(ctx, level, message, attrs...)
}

func (h *Handler) measure(secret string, result Result, took time.Duration, err error) {
	count := func(fits func(Taken) bool) float64 {
		n := 0.0
		for _, a := range result.Actions {
			if fits(a) {
				n++
			}
		}
		return n
	}
	var attention []string
	for _, a := range result.Actions {
		if Ends[a.Reason] == Person {
			attention = append(attention, string(a.Reason))
		}
	}
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	samples := []telemetry.Sample{
		{Name: MetricSweepSucceeded, Unit: telemetry.Count, Value: flag(err == nil)},
		{Name: MetricSweepDuration, Unit: telemetry.Milliseconds, Value: float64(took.Microseconds()) / 1000},
		{Name: MetricKeysRevoked, Unit: telemetry.Count, Value: count(func(a Taken) bool { return a.Done && (a.Action == Revoke || a.Action == RevokeOrphan) })},
		{Name: MetricKeysHeld, Unit: telemetry.Count, Value: count(func(a Taken) bool { return a.Action == Hold })},
		{Name: MetricOrphans, Unit: telemetry.Count, Value: count(func(a Taken) bool { return a.Action == RevokeOrphan })},
		{Name: MetricAttention, Unit: telemetry.Count, Value: float64(len(attention))},
		{Name: MetricNotBootstrapped, Unit: telemetry.Count, Value: flag(result.Outcome == NotBootstrapped)},
	}
	if result.Health != nil {
		var oldest float64
		if age := result.Health.OldestSuperseded; age != nil {
			oldest = age.Seconds()
		}
		samples = append(samples,
			telemetry.Sample{Name: MetricOldestSuperseded, Unit: telemetry.Seconds, Value: oldest},
			telemetry.Sample{Name: MetricFreeLabels, Unit: telemetry.Count, Value: float64(result.Health.FreeLabels)},
			telemetry.Sample{Name: MetricRotationUnderWay, Unit: telemetry.Count, Value: flag(result.Health.RotationUnderWay)},
			telemetry.Sample{Name: MetricRotationOff, Unit: telemetry.Count, Value: flag(result.Health.RotationOff)},
			telemetry.Sample{Name: MetricRotationOverdue, Unit: telemetry.Count, Value: flag(result.Health.RotationOverdue)})
		if result.Health.CurrentKeyID != "" {
			samples = append(samples,
				telemetry.Sample{Name: MetricCurrentKeyExpiresIn, Unit: telemetry.None, Value: result.Health.CurrentKeyExpiresIn.Hours() / 24},
				telemetry.Sample{Name: MetricCurrentKeyAge, Unit: telemetry.Seconds, Value: result.Health.CurrentKeyAge.Seconds()})
		}
	}
	properties := []telemetry.Label{{Name: "secret", Value: secret}}
	if len(attention) > 0 {
		properties = append(properties, telemetry.Label{Name: "reasons", Value: strings.Join(attention, ",")})
	}
	h.Metrics.Emit(nil, properties, samples...)
	if err != nil {
		h.Metrics.Emit(&telemetry.Label{Name: DimensionErrorType, Value: fault.TypeName(err)}, properties,
			telemetry.Sample{Name: MetricSweepFailed, Unit: telemetry.Count, Value: 1})
	}
}

// clip bounds what an event may put into a log line; text that looks like a key is taken out.
func clip(s string) string { return redact.Clip(s, 256) }
