package config

import (
	"strconv"

	"quilt-rotate/internal/settings"
)

// SettingTags are the tags from which the functions and the command read the settings of this secret. Defaults are written too, because the defaults of
// a function's environment can change.
func (k *Key) SettingTags() map[string]string {
	tags := map[string]string{
		settings.TagExpiresInDays: strconv.Itoa(k.ExpiresInDays),
		settings.TagGrace:         Duration(k.GracePeriod()).String(),
		settings.TagQuiet:         Duration(k.QuietPeriod()).String(),
	}
	if k.HoldLimit != nil {
		tags[settings.TagHoldLimit] = k.HoldLimit.String()
	}
	for tag, value := range map[string]string{
		settings.TagField: k.Field, settings.TagKeyName: k.KeyName, settings.TagIssuer: k.Issuer, settings.TagOwner: k.Owner,
	} {
		if value != "" {
			tags[tag] = value
		}
	}
	if services, err := k.restartTag(); err == nil && services != "" {
		tags[settings.TagRestart] = services
	}
	return tags
}

func (k *Key) restartTag() (string, error) {
	var services []settings.Service
	for _, s := range k.Restart {
		services = append(services, settings.Service(s))
	}
	return settings.FormatRestart(services)
}
