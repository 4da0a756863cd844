package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/settings/schedule"
)

func checkKey(g *gathering, c *Config, path string, k *Key, names map[string]string) {
	checkSecret(g, c, path, k)
	if name := k.SecretName(); name != "" {
		first, again := names[name]
		g.require(path, !again, "has the same secret as %s (%s): remove one", first, name)
		names[name] = path
	}
	checkSettings(g, path, k)
	checkTimes(g, path, k)
	checkIssuer(g, c, path, k)
	checkReaders(g, c, path, k)
	checkReplicas(g, c, path, k)
	checkRestart(g, path+".restart", k)
}

func checkRestart(g *gathering, path string, k *Key) {
	valid := true
	for i, s := range k.Restart {
		at, cluster, service := fmt.Sprintf("%s[%d]", path, i), serviceForm.MatchString(s.Cluster),
			serviceForm.MatchString(s.Service)
		g.require(at+".cluster", cluster, "must be the name of an ECS cluster, not its ARN")
		g.require(at+".service", service, "must be the name of an ECS service, not its ARN")
		valid = valid && cluster && service
	}
	if _, err := k.restartTag(); valid && err != nil {
		g.add(path, "as the tag %s: %s", settings.TagRestart, err)
	}
}

func checkSecret(g *gathering, c *Config, path string, k *Key) {
	switch {
	case g.has(path) || g.has(path+".name") || g.has(path+".secret"):
	case k.Name == "" && k.Secret == "":
		g.add(path, "has no secret: give the name of a new one as name, or the ARN of an existing one as secret")
	case k.Name != "" && k.Secret != "":
		g.add(path, "has both name and secret: give name for a new secret, or secret for an existing one")
	case k.Secret == "":
		g.require(path+".name", secretForm.MatchString(k.Name), "must contain only letters, digits and /_+=.@-, at "+
			"most 256 characters")
		g.require(path+".name", !likeSuffix.MatchString(k.Name), "must not end with - and six letters or digits: AWS "+
			"would read that as the end of a secret's ARN")
	default:
		checkSecretARN(g, path+".secret", k.Secret, c)
		g.require(path+".readers", len(k.Readers) == 0, "cannot be set for an existing secret, because "+
			"CloudFormation would replace its policy: add them to that policy")
		g.require(path+".replicas", len(k.Replicas) == 0, "cannot be set for an existing secret: replicate it with "+
			"the tool that created it")
	}
}

func checkSecretARN(g *gathering, path, text string, c *Config) {
	a, ok := parseARN(text)
	g.require(path, ok && a.service == "secretsmanager" && secretNameOf(text) != "",
		"must be the complete ARN of a secret, with the six characters at its end")
	g.requirePartition(path, a, c.Region)
	g.require(path, !ok || c.Region == "" || a.region == c.Region, "is in the region %s, but the stack is in %s: use "+
		"a stack in that region", a.region, c.Region)
	g.require(path, !ok || c.Account == "" || a.account == c.Account, "is in the account %s, but the stack is in %s: "+
		"use a stack in that account", a.account, c.Account)
}

// settingPaths are the fields that are stored in tags, by tag.
var settingPaths = map[string]string{
	settings.TagField: "field", settings.TagKeyName: "keyName", settings.TagExpiresInDays: "expiresInDays",
	settings.TagGrace: "grace", settings.TagQuiet: "quiet", settings.TagHoldLimit: "holdLimit",
	settings.TagIssuer: "issuer", settings.TagOwner: "owner", settings.TagRestart: "restart",
}

// checkSettings applies the functions' own rules to the fields that are stored in tags.
func checkSettings(g *gathering, path string, k *Key) {
	_, rotation := settings.Rotate{}.ForSecret(k.SettingTags())
	_, revocation := settings.Revoke{}.ForSecret(k.SettingTags())
	for _, err := range []error{rotation, revocation} {
		var invalid *settings.Invalid
		if !errors.As(err, &invalid) {
			continue
		}
		for _, f := range invalid.Faults {
			var fault *settings.Fault
			if errors.As(f, &fault) {
				at := path + "." + settingPaths[fault.Name]
				g.require(at, false, "%s", fault.Problem)
			}
		}
	}
	tags := k.SettingTags()
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		value := tags[tag]
		g.require(path+"."+settingPaths[tag], utf8.RuneCountInString(value) <= maxTagValue,
			"must have at most %d characters", maxTagValue)
		g.require(path+"."+settingPaths[tag], tagText.MatchString(value),
			"must contain only %s, because it is stored in a tag", tagCharacters)
	}
	g.require(path+".plain", !k.Plain || k.Field == "", "cannot be combined with field: a plain value is the key alone")
}

const day = 24 * time.Hour

// checkTimes applies two rules: a key is valid until after one missed rotation, and a superseded
// key is revoked before the next rotation.
func checkTimes(g *gathering, path string, k *Key) {
	at := func(field string) string { return path + "." + field }
	g.require(at("grace"), k.GracePeriod() >= MinGrace, "must be at least 2h: consumers cache secrets for an hour")
	if g.has(at("schedule")) {
		return
	}
	s, err := schedule.Parse(k.Schedule)
	if err != nil {
		if k.Schedule == "" {
			err = errors.New("is not set: it " + schedule.MustBe)
		}
		g.add(at("schedule"), "%s", err)
		return
	}
	window := s.Window
	if g.given(at("window")) {
		window = time.Duration(k.Window)
	}
	g.require(at("window"), window%time.Hour == 0 && window >= time.Hour, "must be whole hours, such as 2h")
	g.require(at("window"), window <= s.MaxWindow, "must be at most %s with this schedule: a window cannot extend "+
		"into the next day (UTC) or the next window", Duration(s.MaxWindow))
	if least := int(s.MinLifetime(window) / day); k.ExpiresInDays < least && !g.has(at("window")) &&
		!g.has(at("expiresInDays")) {
		fix := fmt.Sprintf("%d days: set it to at least %d, or rotate more often", least, least)
		if least > settings.MaxExpiresInDays {
			fix = "more than the longest lifetime, 365: rotate more often"
		}
		g.add(at("expiresInDays"), "is too short for one missed rotation: twice the interval, the window and 7 days "+
			"are %s", fix)
	}
	if !g.has(at("grace")) && !g.has(at("quiet")) {
		g.require(at("schedule"), s.Shortest > k.GracePeriod()+k.QuietPeriod(),
			"must leave more time between rotations than grace and quiet together (%s); otherwise, three keys are "+
				"valid at the same time", Duration(k.GracePeriod()+k.QuietPeriod()))
	}
}

func checkIssuer(g *gathering, c *Config, path string, k *Key) {
	if k.Issuer != "" {
		checkSecretARN(g, path+".issuer", k.Issuer, c)
		g.require(path+".issuer", secretNameOf(k.Issuer) != k.SecretName(), "must be another secret: it creates the "+
			"new key if the current key cannot")
	}
}

func checkReaders(g *gathering, c *Config, path string, k *Key) {
	g.unique(path+".readers", k.Readers)
	g.require(path+".readers", readersLength(slices.All([]*Key{k})) <= maxSecretPolicy,
		"are too many for the secret's policy: list fewer, such as an account instead of its roles")
	for i, reader := range k.Readers {
		at := fmt.Sprintf("%s.readers[%d]", path, i)
		a, ok := parseARN(reader)
		g.require(at, ok && a.service == "iam" && principalForm.MatchString(a.resource) &&
			accountForm.MatchString(a.account),
			"must be the ARN of one role, user (arn:aws:iam::<account>:role/<name>) or account "+
				"(arn:aws:iam::<account>:root), without wildcards")
		g.requirePartition(at, a, c.Region)
		g.require(at, c.KMSKey != AWSManaged || c.Account == "" || a.account == c.Account,
			"is in another account, which cannot decrypt with the AWS-managed key: set kmsKey to new, or to the ARN "+
				"of a KMS key")
	}
}

func checkReplicas(g *gathering, c *Config, path string, k *Key) {
	seen := map[string]bool{c.Region: true}
	for i, r := range k.Replicas {
		at := fmt.Sprintf("%s.replicas[%d]", path, i)
		g.require(at+".region", regionForm.MatchString(r.Region), "must be a region such as eu-west-1")
		g.require(at+".region", c.Region == "" || PartitionOf(r.Region) == PartitionOf(c.Region),
			"is in another partition than %s: secrets cannot be replicated there", c.Region)
		g.require(at+".region", !seen[r.Region] || r.Region == "", "already has the secret: remove it")
		seen[r.Region] = true
		if r.KMSKey != "" {
			checkKMS(g, at+".kmsKey", r.KMSKey, r.Region, "must be the ARN of a KMS key, not of an alias")
		}
	}
}

// LeastDaysLeft returns the shortest time until a current key expires, in whole days, if no
// rotation is missed. If the schedule is not known, it returns the lifetime.
func (k *Key) LeastDaysLeft() int {
	s, err := schedule.Parse(k.Schedule)
	if err != nil {
		return k.ExpiresInDays
	}
	window := time.Duration(k.Window)
	if window == 0 {
		window = s.Window
	}
	return int((time.Duration(k.ExpiresInDays)*day - s.Longest - window) / day)
}
