package revocation

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/retry"
	"quilt-rotate/internal/telemetry"
)

// Names of the metrics.
const (
	MetricSweepSucceeded      = "SweepSucceeded"
	MetricSweepFailed         = "SweepFailed"
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

// Handler is the part of the Lambda function that sweeps. It reads the event, sweeps the secret,
// writes logs and metrics, and returns the [Result], or the [Answer] if the sweep belongs to a run.
// It implements lambda.Handler.
type Handler struct {
	Sweeper *Sweeper
	Log     *slog.Logger
	Metrics *telemetry.Metrics
}

// Invoke carries out one sweep or one dry run. A dry run never fails: its error would count as an
// error of the function and raise an alarm. The caller finds the error in the result. A sweep of a
// run does not fail either: its [Answer] says that it failed.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	start := time.Now()
	ctx, cancel := retry.WithMargin(ctx)
	defer cancel()
	result, extra := Result{Outcome: Swept}, extras{}
	req, err := ParseEvent(payload)
	switch {
	case err == nil && req.DryRun:
		result, _ = h.Sweeper.Preview(ctx, req)
	case err == nil:
		result, extra, err = h.Sweeper.sweep(ctx, req)
	}
	err = fault.Named(err)
	h.report(ctx, req, result, time.Since(start), err)
	if req.Run != "" {
		return json.Marshal(h.answer(req, result, extra, err))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// report writes a log line for each action, one for the sweep, and the metrics. For a dry run it
// writes one line and no metrics: they would silence the alarm for missing sweeps, or count a held
// key twice.
func (h *Handler) report(ctx context.Context, req Request, result Result, took time.Duration, err error) {
	secret, level, message := redact.Clip(result.Secret, 256), slog.LevelInfo, "sweep done"
	failure := cmp.Or(newFailure(err), result.WouldFail)
	switch {
	case err != nil:
		level, message = slog.LevelError, "sweep failed"
	case req.DryRun:
		if message = "dry run done"; failure != nil {
			level = slog.LevelWarn
		}
	case result.Outcome == NotBootstrapped:
		level, message = slog.LevelWarn, "the secret waits for its first key"
	}
	attrs := []slog.Attr{
		slog.String("outcome", string(result.Outcome)), slog.Int64("durationMs", took.Milliseconds()),
		slog.String("secret", secret), slog.Int("actions", len(result.Actions)),
	}
	if result.PausedUntil != nil {
		attrs = append(attrs, slog.Any("pausedUntil", result.PausedUntil),
			slog.String("pauseReason", redact.Clip(result.PauseReason, 256)))
	}
	if failure != nil {
		attrs = append(attrs, slog.String("errorType", failure.ErrorType), slog.String("error", failure.Error))
	}
	if !req.DryRun {
		for _, a := range result.Actions {
			h.reportAction(ctx, secret, a)
		}
		defer h.measure(secret, result, err)
	}
	h.Log.LogAttrs(ctx, level, message, attrs...)
}

// reportAction writes one log line for an action. It is a warning if a person should look at the
// key.
func (h *Handler) reportAction(ctx context.Context, secret string, a Taken) {
	level, message := slog.LevelInfo, "action"
	switch {
	case a.Error != "":
		level, message = slog.LevelError, "action failed"
	case a.Action == Hold:
		level = slog.LevelWarn
		message = "a superseded key is still used: find the consumer that has not fetched the current one"
	case Ends[a.Reason] != Planned:
		level, message = slog.LevelWarn, "a person should look at this key"
	}
	attrs := []slog.Attr{
		slog.String("action", string(a.Action)), slog.String("reason", string(a.Reason)), slog.String("secret", secret),
		slog.String("version", a.Version), slog.String("keyId", a.KeyID), slog.String("fingerprint", a.Fingerprint),
		slog.String("owner", a.Owner), slog.String("error", a.Error), slog.String("code", a.Code),
		slog.Any("until", a.Until), slog.Any("lastUsedAt", a.LastUsedAt),
	}
	h.Log.LogAttrs(ctx, level, message, slices.DeleteFunc(attrs, func(attr slog.Attr) bool {
		return attr.Value.String() == "" || attr.Value.String() == "<nil>"
	})...)
}

func (h *Handler) measure(secret string, result Result, err error) {
	var samples []telemetry.Sample
	add := func(name string, unit telemetry.Unit, value float64) {
		samples = append(samples, telemetry.Sample{Name: name, Unit: unit, Value: value})
	}
	flag := func(name string, is bool) {
		add(name, telemetry.Count, map[bool]float64{true: 1}[is])
	}
	counts := map[string]float64{}
	var attention []string
	for _, a := range result.Actions {
		switch {
		case Ends[a.Reason] == Person:
			attention = append(attention, string(a.Reason))
		case a.Action == Hold:
			counts[MetricKeysHeld]++
		case a.Action == RevokeOrphan:
			counts[MetricOrphans]++
		}
		if a.Done && (a.Action == Revoke || a.Action == RevokeOrphan) {
			counts[MetricKeysRevoked]++
		}
	}
	flag(MetricSweepSucceeded, err == nil)
	for _, name := range []string{MetricKeysRevoked, MetricKeysHeld, MetricOrphans} {
		add(name, telemetry.Count, counts[name])
	}
	add(MetricAttention, telemetry.Count, float64(len(attention)))
	flag(MetricNotBootstrapped, result.Outcome == NotBootstrapped)
	if health := result.Health; health != nil {
		add(MetricOldestSuperseded, telemetry.Seconds, cmp.Or(health.OldestSuperseded, &Span{}).Seconds())
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
