package revocation

import (
	"cmp"
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

// Handler is the Lambda function: it reads the event, sweeps, writes logs and metrics, and answers with the
// [Result]. It implements lambda.Handler.
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
	h.report(ctx, req, result, time.Since(start), err)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// report writes a line for each action and one for the sweep, and the metrics. Of a dry run it writes one line, and no
// metric: a look is not a sweep, and would silence the alarm for sweeps that are missing, or count a held key twice.
// Nor is a look that fails an error of the service: the caller has the answer.
func (h *Handler) report(ctx context.Context, req Request, result Result, took time.Duration, err error) {
	secret, level, message := clip(result.Secret), slog.LevelInfo, "sweep done"
	attrs := []slog.Attr{
		slog.String("outcome", string(result.Outcome)), slog.Int64("durationMs", took.Milliseconds()),
		slog.String("secret", secret), slog.Int("actions", len(result.Actions)),
	}
	failure := cmp.Or(newFailure(err), result.WouldFail)
	if failure != nil {
		attrs = append(attrs, slog.String("errorType", failure.ErrorType), slog.String("error", failure.Error))
	}
	switch {
	case req.DryRun && failure != nil:
		level, message = slog.LevelWarn, "sweep looked at"
	case req.DryRun:
		message = "sweep looked at"
	case err != nil:
		level, message = slog.LevelError, "sweep failed"
	case result.Outcome == NotBootstrapped:
		level, message = slog.LevelWarn, "the secret waits for its first key"
	}
	if !req.DryRun {
		for _, a := range result.Actions {
			h.reportAction(ctx, secret, a)
		}
		defer h.measure(secret, result, took, err)
	}
	h.Log.LogAttrs(ctx, level, message, attrs...)
}

// reportAction writes one line for an action: a warning for what a person should look at.
func (h *Handler) reportAction(ctx context.Context, secret string, a Taken) {
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
	var samples []telemetry.Sample
	add := func(name string, unit telemetry.Unit, value float64) {
		samples = append(samples, telemetry.Sample{Name: name, Unit: unit, Value: value})
	}
	flag := func(name string, is bool) {
		add(name, telemetry.Count, map[bool]float64{true: 1}[is])
	}
	var revoked, held, orphans float64
	var attention []string
	for _, a := range result.Actions {
		switch {
		case Ends[a.Reason] == Person:
			attention = append(attention, string(a.Reason))
		case a.Action == Hold:
			held++
		case a.Action == RevokeOrphan:
			orphans++
		}
		if a.Done && (a.Action == Revoke || a.Action == RevokeOrphan) {
			revoked++
		}
	}
	flag(MetricSweepSucceeded, err == nil)
	add(MetricSweepDuration, telemetry.Milliseconds, float64(took.Microseconds())/1000)
	add(MetricKeysRevoked, telemetry.Count, revoked)
	add(MetricKeysHeld, telemetry.Count, held)
	add(MetricOrphans, telemetry.Count, orphans)
	add(MetricAttention, telemetry.Count, float64(len(attention)))
	flag(MetricNotBootstrapped, result.Outcome == NotBootstrapped)
	if health := result.Health; health != nil {
		var oldest Span
		if health.OldestSuperseded != nil {
			oldest = *health.OldestSuperseded
		}
		add(MetricOldestSuperseded, telemetry.Seconds, oldest.Seconds())
		add(MetricFreeLabels, telemetry.Count, float64(health.FreeLabels))
		flag(MetricRotationUnderWay, health.RotationUnderWay)
		flag(MetricRotationOff, health.RotationOff)
		flag(MetricRotationOverdue, health.RotationOverdue)
		if health.CurrentKeyID != "" {
			add(MetricCurrentKeyExpiresIn, telemetry.None, health.CurrentKeyExpiresIn.Hours()/24)
			add(MetricCurrentKeyAge, telemetry.Seconds, health.CurrentKeyAge.Seconds())
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
