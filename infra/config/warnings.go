package config

import (
	"fmt"
	"time"

	"quilt-rotate/internal/schedule"
)

// Warnings are what somebody may want so, and more often does not.
func (c *Config) Warnings() (warnings []string) {
	kept := time.Duration(c.LogRetentionDays) * day
	for i := range c.Keys {
		if s, err := schedule.Parse(c.Keys[i].Schedule); err == nil && s.Longest > kept {
			warnings = append(warnings, fmt.Sprintf("logRetentionDays: rotations of keys[%d] are up to %d days apart, and logs are kept for %d: the dashboard will not always show its last one",
				i, int(s.Longest/day), c.LogRetentionDays))
		}
	}
	return warnings
}
