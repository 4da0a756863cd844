package rotation_test

import (
	"strings"
	"testing"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

const (
	passwordIssuer = `{"username":"` + sandbox.UserName + `","password":"` + sandbox.UserPassword + `"}`
	listingIssuer  = `{"username":"` + sandbox.UserName + `","password":"` + sandbox.UserPassword +
		`","serves":["quilt/*"]}`
	othersIssuer = `{"username":"` + sandbox.UserName + `","password":"` + sandbox.UserPassword +
		`","serves":["team-b/*"]}`
	adminIssuer = `{"username":"` + sandbox.AdminName + `","password":"` + sandbox.AdminPassword + `"}`
)

// A creatorCase is a state of the credentials, and what becomes of createSecret.
type creatorCase struct {
	name   string
	issuer string // value of the issuer's secret; "": none is configured
	owner  string // tag
	spoil  func(t *testing.T, s *sandboxtest.Secret)
	fault  string // "": a key is made
	words  []string
}

func revokeCurrent(t *testing.T, s *sandboxtest.Secret) {
	s.Registry.Delete(keyID(t, s, s.CurrentKey()))
}

func expireCurrent(t *testing.T, s *sandboxtest.Secret) {
	s.Registry.Expire(keyID(t, s, s.CurrentKey()))
}

func expireBoth(t *testing.T, s *sandboxtest.Secret) {
	expireCurrent(t, s)
	s.Registry.Expire(keyID(t, s, s.KeyIn(s.Holder(vault.Previous))))
}

func revokeBoth(t *testing.T, s *sandboxtest.Secret) {
	s.Registry.Delete(keyID(t, s, s.KeyIn(s.Holder(vault.Previous))))
	revokeCurrent(t, s)
}

// poseAsTheUser makes the secret look as if its key belonged to the user, with what its owner can
// set: the value, which is no key of the registry, and the label, which names a key of the user.
func poseAsTheUser(t *testing.T, s *sandboxtest.Secret) {
	revokeBoth(t, s)
	id, _ := s.Registry.MintKey(sandbox.UserEmail, "the user's own", 90)
	version := s.Put(sandboxtest.ValueWith("qk_" + strings.Repeat("x", 48)))
	must(t, s.MoveLabel(vault.KeyLabel(id), version, ""))
}

func mayNotManage(manner string) func(*testing.T, *sandboxtest.Secret) {
	return func(_ *testing.T, s *sandboxtest.Secret) {
		s.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.KeysMayNotManage = manner })
	}
}

func both(one, other func(*testing.T, *sandboxtest.Secret)) func(*testing.T, *sandboxtest.Secret) {
	return func(t *testing.T, s *sandboxtest.Secret) {
		one(t, s)
		other(t, s)
	}
}

func nullMe(_ *testing.T, s *sandboxtest.Secret) {
	s.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.NullMe = true })
}

func TestCreator(t *testing.T) {
	// The first credential that can log in creates the new key, and only for the same user.
	t.Parallel()
	cases := []creatorCase{
		{"the current key", "", "", func(*testing.T, *sandboxtest.Secret) {}, "", nil},
		{"the previous key, as the current one expired", "", "", expireCurrent, "", nil},
		{"the previous key, as the current one is revoked and the tag knows the owner", "", sandbox.UserEmail,
			revokeCurrent, "", nil},
		{"the tag has the owner in other letters", "", strings.ToUpper(sandbox.UserEmail), revokeCurrent, "", nil},
		{"the issuing credential, as the current key is expired and the previous version cannot be read",
			passwordIssuer, "", func(t *testing.T, s *sandboxtest.Secret) {
				expireCurrent(t, s)
				refuseValueOf(s.Rig, s.Holder(vault.Previous).ID)
			}, "", nil},
		{"the same where the registry answers me: null", "", sandbox.UserEmail, both(revokeCurrent, nullMe), "", nil},
		{"nothing knows the owner of a revoked key", "", "", revokeCurrent, "OwnerUnknown",
			[]string{"quilt-rotate:owner", "the previous key", "quilt/pipeline"}},
		{"the tag names another owner", "", "somebody@example.com", revokeCurrent, "OwnerChanged",
			[]string{"somebody@example.com", sandbox.UserEmail, "nothing was created"}},
		{"the tag does not overrule the current key", "", "somebody@example.com",
			func(*testing.T, *sandboxtest.Secret) {}, "", nil},
		{"the issuer by password, as both keys expired", passwordIssuer, "", expireBoth, "", nil},
		{"the issuer by password that lists the secret, as both keys are revoked", listingIssuer, sandbox.UserEmail,
			revokeBoth, "", nil},
		{"the issuer that lists other secrets, as both keys expired", othersIssuer, "", expireBoth, "IssuerNotAllowed",
			[]string{"quilt/issuer", "quilt/pipeline", `"serves"`}},
		{"the issuer without a list, as both keys are revoked and only the tag names the owner", passwordIssuer,
			sandbox.UserEmail, revokeBoth, "OwnerUnknown", []string{sandbox.UserEmail, `"serves": ["quilt/pipeline"]`}},
		{"another team's secret, whose tags and label lead to the issuer without a list", passwordIssuer,
			sandbox.UserEmail, poseAsTheUser, "OwnerUnknown", []string{sandbox.UserEmail, `"serves"`}},
		{"the issuer by key", "key", "", expireBoth, "", nil},
		{"the issuer of another user, both keys expired", adminIssuer, "", expireBoth, "OwnerUnknown",
			[]string{"the issuing credential", sandbox.AdminEmail}},
		{"the issuer of another user, the tag knows", strings.Replace(adminIssuer, "}", `,"serves":["*"]}`, 1),
			sandbox.UserEmail, expireBoth, "OwnerChanged", []string{sandbox.AdminEmail, sandbox.UserEmail,
				"nothing was created"}},
		{"no credential is left", "", "", expireBoth, "NoCreator", []string{"the current key", "the previous key",
			"quilt-rotate:issuer", "quilt-rotate recover"}},
		{"the issuer's password is wrong", `{"username":"` + sandbox.UserName + `","password":"something else"}`, "",
			expireBoth, "NoCreator", []string{"the current key", "the previous key", "the issuing credential",
				"POST /api/login"}},
		{"the registry takes single sign-on only", passwordIssuer, "",
			both(expireBoth, func(_ *testing.T, s *sandboxtest.Secret) {
				s.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.SSOOnly = true })
			}), "NoCreator", []string{"the issuing credential", "single sign-on"}},
		{"the user is switched off", passwordIssuer, "", func(_ *testing.T, s *sandboxtest.Secret) {
			s.Registry.SetActive(sandbox.UserEmail, false)
		}, "NoCreator", []string{"the current key", "the issuing credential"}},
		{"the issuer's secret has the wrong form", `{"user":"x"}`, "", expireBoth, "BadIssuer",
			[]string{"issuer", "username"}},
		{"the issuer's key is none", `{"api_key":"nothing"}`, "", expireBoth, "BadIssuer",
			[]string{"api_key", "issuer"}},
		{"a user has too many keys", "", "", func(_ *testing.T, s *sandboxtest.Secret) {
			s.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.MaxKeysPerUser = 2 })
		}, "NoCreator", []string{"TooManyKeys"}},
	}
	for _, manner := range []string{quiltregistry.RefuseForbidden, quiltregistry.RefuseGraphQLError,
		quiltregistry.RefuseInvalidInput} {
		cases = append(cases,
			creatorCase{"keys may not manage keys (" + manner + "), no issuer", "", "", mayNotManage(manner),
				"NoCreator", []string{"the current key", "the previous key", "quilt-rotate:issuer"}},
			creatorCase{"keys may not manage keys (" + manner + "), the issuer by password", passwordIssuer, "",
				mayNotManage(manner), "", nil},
			creatorCase{"keys may not manage keys (" + manner + "), the issuer by key", "key", "", mayNotManage(manner),
				"NoCreator", []string{"the current key", "the previous key", "the issuing credential"}},
			creatorCase{"keys may not manage keys (" + manner + "), the issuer of another user", adminIssuer, "",
				mayNotManage(manner), "OwnerChanged", []string{sandbox.AdminEmail, sandbox.UserEmail}},
		)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			s := r.Secret("quilt/pipeline")
			must(t, s.Rotate()) // so that there is a previous key
			c.configure(t, s)
			c.spoil(t, s)
			before := stateOf(s)
			event := s.Begin(sandboxtest.Token(1))

			err := s.Step(event, rotation.Create)

			before.unchanged(t)
			if c.fault != "" {
				wantFault(t, err, c.fault, c.words...)
				before.noKeyCreated(t)
				return
			}
			must(t, err)
			made, ok := r.Registry.KeyBySecret(s.KeyIn(version(t, s, event.ClientRequestToken)).Reveal())
			if !ok || made.Owner != sandbox.UserEmail {
				t.Errorf("the pending key must be a new one of %s\n%s", sandbox.UserEmail, s.Labels())
			}
		})
	}
}

func (c creatorCase) configure(t *testing.T, s *sandboxtest.Secret) {
	if c.issuer == "key" {
		_, secret := s.Registry.MintKey(sandbox.UserEmail, "the issuer's own", 90)
		c.issuer = `{"api_key":"` + secret + `"}`
	}
	if c.issuer != "" {
		s.Tag(settings.TagIssuer, keep(t, s.Rig, "quilt/issuer", c.issuer))
	}
	if c.owner != "" {
		s.Tag(settings.TagOwner, c.owner)
	}
}

func TestAnIssuerThatDoesNotExist(t *testing.T) {
	// The error has the name of the issuing credential's secret and the message of Secrets Manager.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline", settings.TagIssuer, "quilt/no-such-issuer")
	expireCurrent(t, s)
	before := stateOf(s)
	event := s.Begin(sandboxtest.Token(1))
	wantFault(t, s.Step(event, rotation.Create), "BadIssuer", s.ARN, "quilt/no-such-issuer",
		"ResourceNotFoundException")
	before.noKeyCreated(t)
}

func TestTheIssuerIsNotReadWhereTheCurrentKeyWorks(t *testing.T) {
	// The password of the issuing credential is read only if it is needed.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline", settings.TagIssuer, keep(t, r, "quilt/issuer", passwordIssuer))
	trace := r.Trace()
	s.MustRotate()
	requests := trace.Take()
	if sandboxtest.Count(requests, "POST /api/login") != 0 || sandboxtest.Count(requests, "GetSecretValue") != 8 {
		t.Errorf("the issuer was used: %v", sandboxtest.Operations(requests))
	}
}
