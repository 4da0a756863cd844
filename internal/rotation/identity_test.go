package rotation_test

import (
	"strings"
	"testing"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/vault"
)

// unlabelled is a secret whose current version holds a key that somebody put in by hand.
func unlabelled(r *sandboxtest.Rig) (s *sandboxtest.Secret, keyID string) {
	s = r.Secret("quilt/pipeline")
	keyID, secret := r.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	s.Put(sandboxtest.ValueWith(secret))
	return s, keyID
}

func TestAFirstKeyIsLabelledByItsFingerprint(t *testing.T) {
	// Without a label, a superseded first key would never be revoked. If exactly one key of the
	// list fits, its label is attached before a new key is created.
	t.Parallel()
	r := sandboxtest.New(t)
	s, id := unlabelled(r)
	current := s.Holder(vault.Current).ID

	runTo(t, s, sandboxtest.Token(1), rotation.Create)

	if !holds(version(t, s, current), vault.KeyLabel(id)) || unidentified(r) {
		t.Errorf("the current version must have the label of its key, and nothing be reported\n%s", s.Labels())
	}
}

func TestUnidentifiedCurrentKeyIsReported(t *testing.T) {
	// If two keys fit, no label is attached. Otherwise a sweep could revoke the wrong key.
	t.Parallel()
	for name, confuse := range map[string]func(*sandboxtest.Rig){
		"two fit": func(r *sandboxtest.Rig) {
			r.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.DuplicateFingerprints = true })
			r.Registry.MintKey(sandbox.UserEmail, "another", 90)
		},
		"none fits": func(r *sandboxtest.Rig) {
			r.Registry.SetSwitches(func(sw *quiltregistry.Switches) {
				sw.ListOmits = func(k quiltregistry.APIKey) bool { return k.Name == "by hand" }
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			confuse(r)
			s, _ := unlabelled(r)
			current := s.Holder(vault.Current).ID

			runTo(t, s, sandboxtest.Token(1), rotation.Create)

			if keys := vault.NewVersion(current, version(t, s, current).Stages).Keys; len(keys) != 0 {
				t.Errorf("the current version was labelled %v\n%s", keys, s.Labels())
			}
			if !unidentified(r) {
				t.Errorf("the key that cannot be identified is not reported\n%s", r.Output)
			}
		})
	}
}

func TestLabelMovesToEditedVersionOfSameKey(t *testing.T) {
	// After an edit, the key's label moves from the superseded version to the current one, so that
	// no sweep takes the key for superseded.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	old := s.Holder(vault.Current).ID
	key := s.CurrentKey()
	edited := s.Put(`{"QUILT_API_KEY":"` + key.Reveal() + `","edited":true}`)

	runTo(t, s, sandboxtest.Token(1), rotation.Create)

	requireKeyLabel(t, s, version(t, s, edited))
	if holds(version(t, s, old), vault.KeyLabel(keyID(t, s, key))) {
		t.Errorf("the label is still on the older version\n%s", s.Labels())
	}
}

// refuseValueOf lets Secrets Manager refuse to give out the value of one version.
func refuseValueOf(r *sandboxtest.Rig, version string) {
	r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		if strings.Contains(string(c.Body), version) {
			sandboxtest.AWSError(400, "AccessDeniedException", "Access to KMS is not allowed")(c, next)
			return
		}
		next()
	}, "GetSecretValue"))
}

func TestAnOlderVersionThatCannotBeReadDoesNotStopTheRotation(t *testing.T) {
	// If the KMS key of an older version is disabled, the version keeps its label, and the current
	// key is reported.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	s.MustRotate()
	labelled := s.Holder(vault.Current)
	s.Put(sandboxtest.ValueWith(s.CurrentKey().Reveal()) + " ")
	refuseValueOf(r, labelled.ID)

	runTo(t, s, sandboxtest.Token(2), rotation.Create)

	label := vault.KeyLabel(keyID(t, s, s.CurrentKey()))
	if !holds(version(t, s, labelled.ID), label) || !unidentified(r) {
		t.Errorf("the label must stay, and the current key be reported\n%s", s.Labels())
	}
}

func TestTheLabelOfAnotherVersionsKeyStays(t *testing.T) {
	// A version that holds another key keeps its label, even if a fingerprint fits the current key.
	// The value decides.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	old := s.Holder(vault.Current)
	id, secret := r.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	must(t, s.MoveLabel(vault.KeyLabel(id), old.ID, ""))
	current := s.Put(sandboxtest.ValueWith(secret))

	runTo(t, s, sandboxtest.Token(1), rotation.Create)

	if !holds(version(t, s, old.ID), vault.KeyLabel(id)) || holds(version(t, s, current), vault.KeyLabel(id)) {
		t.Errorf("the label moved away from a version that holds another key\n%s", s.Labels())
	}
	if !unidentified(r) {
		t.Error("the key that cannot be identified is not reported")
	}
}

func TestLabelIsMovedOnceForSeveralCreators(t *testing.T) {
	// If the current key may not create keys, the label is moved with the current key's session,
	// and the issuing credential creates the key.
	t.Parallel()
	for _, edit := range []bool{true, false} {
		r := sandboxtest.New(t)
		keep(t, r, "issuer", passwordIssuer)
		s, id := unlabelled(r)
		s.Tag("quilt-rotate:issuer", "issuer")
		if edit {
			must(t, s.MoveLabel(vault.KeyLabel(id), s.Holder(vault.Current).ID, ""))
			s.Put(`{"QUILT_API_KEY":"` + s.CurrentKey().Reveal() + `","edited":true}`)
		}
		r.Registry.SetSwitches(func(sw *quiltregistry.Switches) {
			sw.KeysMayNotManage = quiltregistry.RefuseInvalidInput
		})
		event := s.Begin(sandboxtest.Token(1))

		must(t, s.Step(event, rotation.Create))

		requireKeyLabel(t, s, s.Holder(vault.Current))
	}
}

func TestAPendingVersionWithoutALabelGetsIt(t *testing.T) {
	// Sweeps find a pending key by its label. If the label is missing, the next run attaches it.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
	pending := version(t, s, event.ClientRequestToken)
	must(t, s.MoveLabel(vault.KeyLabel(keyID(t, s, s.KeyIn(pending))), "", pending.ID))

	must(t, s.Step(event, rotation.Create))

	requireKeyLabel(t, s, version(t, s, pending.ID))
}
