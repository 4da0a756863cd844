package config

import (
	"strconv"

	"quilt-rotate/internal/settings"
)

// SettingTags are the tags by which the functions, and the command, know this secret's settings. Each is written out, defaults too, since the functions' environment
// holds other values: the most cautious ones of the stack.
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
