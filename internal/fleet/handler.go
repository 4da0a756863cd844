package fleet

import (
	"context"
	"encoding/json"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/retry"
	"quilt-rotate/internal/revocation"
)

// Handler is the revoke function. An event {"next": …} asks for the next step of a run. Any other
// event asks for a sweep. Handler implements lambda.Handler.
type Handler struct {
	Sweeps *revocation.Handler
	Runner *Runner
}

// Invoke returns an [Answer] for a step, and for a sweep what [revocation.Handler.Invoke] returns.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var event struct {
		Next json.RawMessage `json:"next"`
	}
	if json.Unmarshal(payload, &event) != nil || event.Next == nil {
		return h.Sweeps.Invoke(ctx, payload)
	}
	var step Step
	if err := json.Unmarshal(event.Next, &step); err != nil {
		return nil, fault.New[fault.BadEvent](`the event's "next" is not a step of a run: ` +
			`it must have "rotateFunction", "time", "limit", "state" and "results"`)
	}
	ctx, cancel := retry.WithMargin(ctx)
	defer cancel()
	answer, err := h.Runner.Next(ctx, step)
	if err = fault.Named(err); err != nil {
		h.Runner.Log.ErrorContext(ctx, "the next step of the run failed", "errorType", fault.TypeName(err), "error",
			err)
		return nil, err
	}
	return json.Marshal(answer)
}
