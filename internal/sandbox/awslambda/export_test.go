package awslambda

import "time"

// SetInitLimit shortens the Init phase, which a test cannot wait out.
func (h *Host) SetInitLimit(limit time.Duration) { h.initLimit = limit }
