package doctor

import (
	"context"
	"time"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

// prompt is how soon a use must show to count as recorded at once.
const prompt = 2 * time.Minute

// useIsRecorded logs in and checks whether the registry shows that use: a sweep holds a superseded key while it is used. How precisely the registry records
// use is not documented, so it is estimated from all keys of the user.
func (p *patient) useIsRecorded(ctx context.Context) finding {
	if p.key.ID == "" {
		return skip("the key is not known at the registry")
	}
	session := p.session
	if p.manageErr != nil {
		if _, err := p.session.Me(ctx); err != nil {
			return broken(err, "")
		}
		session = p.issuer
	}
	login, err := session.Login(ctx, p.key.ID)
	if err != nil {
		return broken(err, "")
	}
	if login.Key == nil || login.Key.LastUsedAt == nil {
		return warning("make grace long enough for every consumer to read the secret again (a cache of the SDKs holds it for an hour)",
			"the registry records no use, so grace alone decides when a replaced key is revoked")
	}
	lag := login.RegistryTime.Sub(*login.Key.LastUsedAt)
	unit := granularity(*login.Key.LastUsedAt, login.RegistryTime, uses(p.keys))
	if unit == 0 && lag < prompt {
		return ok("recorded at once")
	}
	if unit == 0 {
		return warning("make quiet longer than that delay", "recorded late: after a login just now, the last use shown is %s old", terminal.About(lag))
	}
	if p.sweeping != nil && p.sweeping.Quiet < settings.DefaultQuiet+unit {
		return warning("set quiet to "+hours(settings.DefaultQuiet+unit)+" or more, so that a nightly job still counts as use",
			"recorded by the %s only, so a key can look unused for longer than it is; quiet is %s", unitName(unit), hours(p.sweeping.Quiet))
	}
	return ok("recorded by the %s", unitName(unit))
}

func uses(keys []quilt.APIKey) []time.Time {
	var list []time.Time
	for _, k := range keys {
		if k.LastUsedAt != nil {
			list = append(list, *k.LastUsedAt)
		}
	}
	return list
}

// granularity is the unit in which uses are recorded, if it is a day or an hour; otherwise 0. The use of just now then shows as the beginning of this day or
// hour. If the day or the hour has just begun, all other uses must be whole days or hours as well.
func granularity(used, now time.Time, others []time.Time) time.Duration {
	for _, unit := range []time.Duration{day, time.Hour} {
		whole := used.Equal(now.UTC().Truncate(unit))
		if whole && now.Sub(used) < prompt {
			for _, other := range others {
				whole = whole && other.Equal(other.UTC().Truncate(unit))
			}
		}
		if whole {
			return unit
		}
	}
	return 0
}

func unitName(unit time.Duration) string {
	if unit == day {
		return "day"
	}
	return "hour"
}
