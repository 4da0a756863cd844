package config

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"quilt-rotate/internal/schedule"
	"quilt-rotate/internal/settings"
)

func checkKey(g *gathering, c *Config, path string, k *Key, names map[string]string) {
	checkSecret(g, c, path, k)
	if name := k.SecretName(); name != "" {
		first, again := names[name]
		g.require(path, !again, "is a second key of the secret %s, after %s: take one out", name, first)
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
	fine := true
	for i, s := range k.Restart {
		at, cluster, service := fmt.Sprintf("%s[%d]", path, i), serviceForm.MatchString(s.Cluster), serviceForm.MatchString(s.Service)
		g.require(at+".cluster", cluster, "must be the name of an ECS cluster, not its ARN")
		g.require(at+".service", service, "must be the name of an ECS service, not its ARN")
		fine = fine && cluster && service
	}
	if _, err := k.restartTag(); fine && err != nil {
		g.add(path, "as the tag %s: %s", settings.TagRestart, err)
	}
}

func checkSecret(g *gathering, c *Config, path string, k *Key) {
	switch {
	case g.has(path) || g.has(path+".name") || g.has(path+".secret"):
	case k.Name == "" && k.Secret == "":
		g.add(path, "names no secret: give the name of a new one, or the ARN of an existing one as secret")
	case k.Name != "" && k.Secret != "":
		g.add(path, "has both name and secret: give name for a new secret, or secret for an existing one")
	case k.Secret == "":
		g.require(path+".name", secretForm.MatchString(k.Name), "must have only letters, digits and /_+=.@-, at most 256")
		g.require(path+".name", !likeSuffix.MatchString(k.Name), "must not end with - and six letters or digits: it would be taken for the end of a secret's ARN")
		g.require(path+".secretKmsKey", k.SecretKMSKey == "", "goes with an adopted secret; give kmsKey for the stack's own secrets")
	default:
		checkSecretARN(g, path+".secret", k.Secret, c)
		if k.SecretKMSKey != "" {
			checkKMS(g, path+".secretKmsKey", k.SecretKMSKey, c.Region, "must be the ARN of a KMS key")
		}
		g.require(path+".readers", len(k.Readers) == 0, "cannot be set for an adopted secret: CloudFormation would replace its policy; grant them there")
		g.require(path+".replicas", len(k.Replicas) == 0, "cannot be set for an adopted secret: replicate it where it is defined")
	}
}

func checkSecretARN(g *gathering, path, text string, c *Config) {
	a, ok := parseARN(text)
	g.require(path, ok && a.service == "secretsmanager" && secretNameOf(text) != "", "must be the whole ARN of a secret, with the six characters at its end")
	g.requirePartition(path, a, c.Region)
	g.require(path, !ok || c.Region == "" || a.region == c.Region, "is of the region %s, but the stack is of %s: use the region's own stack", a.region, c.Region)
	g.require(path, !ok || c.Account == "" || a.account == c.Account, "is of the account %s, but the stack is of %s: use the account's own stack", a.account, c.Account)
}

// settingPaths are the fields that become tags.
var settingPaths = map[string]string{
	settings.TagField: "field", settings.TagKeyName: "keyName", settings.TagExpiresInDays: "expiresInDays", settings.TagGrace: "grace",
	settings.TagQuiet: "quiet", settings.TagHoldLimit: "holdLimit", settings.TagIssuer: "issuer", settings.TagOwner: "owner", settings.TagRestart: "restart",
}

// checkSettings has the functions' own rules judge what becomes a tag.
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
	for tag, value := range k.SettingTags() {
		g.require(path+"."+settingPaths[tag], utf8.RuneCountInString(value) <= maxTagValue, "must have at most 256 characters")
		g.require(path+"."+settingPaths[tag], tagText.MatchString(value), "must have only %s, since a tag holds it", tagCharacters)
	}
	g.require(path+".plain", !k.Plain || k.Field == "", "does not go with a field: a plain value is the key alone")
}

const day = 24 * time.Hour

// checkTimes holds the arithmetic: one missed rotation must be no outage, and no replaced key may still live when the next one is made.
func checkTimes(g *gathering, path string, k *Key) {
	at := func(field string) string { return path + "." + field }
	g.require(at("grace"), k.GracePeriod() >= MinGrace, "must be at least 2h: consumers cache secrets for an hour")
	if g.has(at("schedule")) {
		return
	}
	s, err := schedule.Parse(k.Schedule)
	if err != nil {
		if k.Schedule == "" {
			err = errors.New("is not given: it " + schedule.MustBe)
		}
		g.add(at("schedule"), "%s", err)
		return
	}
	window := s.Window
	if g.given(at("window")) {
		window = time.Duration(k.Window)
	}
	g.require(at("window"), window%time.Hour == 0 && window >= time.Hour, "must be whole hours, such as 2h")
	g.require(at("window"), window <= s.MaxWindow, "must be at most %s here: a window may run neither into the next day (UTC) nor into the next window", Duration(s.MaxWindow))
	if least := int(s.LeastLife(window) / day); k.ExpiresInDays < least && !g.has(at("window")) && !g.has(at("expiresInDays")) {
		fix := fmt.Sprintf("at least %d, or rotate more often", least)
		if least > settings.MaxExpiresInDays {
			fix = "longer than a key may live: rotate more often"
		}
		g.add(at("expiresInDays"), "is too short for one missed rotation: twice the interval, the window and 7 days make it %s", fix)
	}
	if !g.has(at("grace")) && !g.has(at("quiet")) {
		g.require(at("schedule"), s.Shortest > k.GracePeriod()+k.QuietPeriod(), "must leave more time between rotations than grace and quiet together (%s): a third key would live", Duration(k.GracePeriod()+k.QuietPeriod()))
	}
}

func checkIssuer(g *gathering, c *Config, path string, k *Key) {
	if k.Issuer != "" {
		checkSecretARN(g, path+".issuer", k.Issuer, c)
		g.require(path+".issuer", k.Issuer != k.Secret, "must be another secret: the key in this one is what it stands in for")
	}
	if k.IssuerKMSKey != "" {
		g.require(path+".issuerKmsKey", k.Issuer != "", "goes with an issuer: give its ARN as issuer")
		checkKMS(g, path+".issuerKmsKey", k.IssuerKMSKey, c.Region, "must be the ARN of a KMS key")
	}
}

func checkReaders(g *gathering, c *Config, path string, k *Key) {
	g.require(path+".readers", k.secretPolicy() <= maxSecretPolicy, "are too many for one secret's policy: name fewer, such as an account in place of its roles")
	for i, reader := range k.Readers {
		at := fmt.Sprintf("%s.readers[%d]", path, i)
		a, ok := parseARN(reader)
		principal := strings.HasPrefix(a.resource, "role/") || strings.HasPrefix(a.resource, "user/") || a.resource == "root"
		g.require(at, ok && a.service == "iam" && principal && accountForm.MatchString(a.account) && !strings.ContainsAny(reader, "*?"),
			"must be the ARN of one role, user or account (arn:aws:iam::<account>:role/<name>), without wildcards")
		g.requirePartition(at, a, c.Region)
		g.require(at, c.KMSKey != AWSManaged || c.Account == "" || a.account == c.Account, "is of another account, which cannot read with the AWS-managed key: set kmsKey to new, or to a key of yours")
	}
}

func checkReplicas(g *gathering, c *Config, path string, k *Key) {
	seen := map[string]bool{c.Region: true}
	for i, r := range k.Replicas {
		at := fmt.Sprintf("%s.replicas[%d]", path, i)
		g.require(at+".region", regionForm.MatchString(r.Region), "must be a region such as eu-west-1")
		g.require(at+".region", c.Region == "" || PartitionOf(r.Region) == PartitionOf(c.Region), "is of another partition than %s, and no secret is replicated there", c.Region)
		g.require(at+".region", !seen[r.Region] || r.Region == "", "has the secret already: take it out")
		seen[r.Region] = true
		if r.KMSKey != "" {
			checkKMS(g, at+".kmsKey", r.KMSKey, r.Region, "must be the ARN of a KMS key")
		}
	}
}

// LeastDaysLeft is how long a current key lives at the least, in whole days, as long as no rotation is missed.
func (k *Key) LeastDaysLeft() int {
	s, err := schedule.Parse(k.Schedule)
	if err != nil {
		return 0
	}
	window := time.Duration(k.Window)
	if window == 0 {
		window = s.Window
	}
	return int((time.Duration(k.ExpiresInDays)*day - s.Longest - window) / day)
}
