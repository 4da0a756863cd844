package config

import (
	"fmt"
	"time"

	"quilt-rotate/internal/schedule"
)

// Warnings are about valid values that are rarely intended.
func (c *Config) Warnings() (warnings []string) {
	kept := time.Duration(c.LogRetentionDays) * day
	for i := range c.Keys {
		if s, err := schedule.Parse(c.Keys[i].Schedule); err == nil && s.Longest > kept {
			warnings = append(warnings, fmt.Sprintf("logRetentionDays: rotations of keys[%d] are up to %d days apart, but logs are kept for %d days: the dashboard does not always show the last rotation",
				i, int(s.Longest/day), c.LogRetentionDays))
		}
	}
	return warnings
}
