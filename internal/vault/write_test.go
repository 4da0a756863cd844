package vault_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

const rotationToken = "5e3a9d1c-7f42-4b8e-9c60-1d2e3f4a5b6c"

var pending = vault.NewValue{SecretARN: arn, VersionID: newVersion, RotationToken: redact.New(rotationToken),
	Value: redact.New(value), KeyID: "3f2a"}

func TestPutPendingStoresValueStageAndKeyInOneCall(t *testing.T) {
	// Promise 3: after a crash, everything is stored or nothing, and AWSCURRENT has not moved.
	s, v := start(t)
	s.set("PutSecretValue", http.StatusOK, `{"ARN":"`+arn+`","VersionId":"`+newVersion+
		`","VersionStages":["quilt-key:3f2a","AWSPENDING"]}`)
	if err := v.PutPending(t.Context(), pending); err != nil {
		t.Fatal(err)
	}
	want := []request{{"PutSecretValue", map[string]any{
		"SecretId": arn, "ClientRequestToken": newVersion, "SecretString": value, "RotationToken": rotationToken,
		"VersionStages": []any{"AWSPENDING", "quilt-key:3f2a"},
	}}}
	if diff := cmp.Diff(want, s.requests(), cmp.AllowUnexported(request{})); diff != "" {
		t.Errorf("wrong (-want +got):\n%s", diff)
	}
}

func TestPutPendingWithoutARotationToken(t *testing.T) {
	// Emulators send no RotationToken. The field must then be missing, not empty.
	s, v := start(t)
	s.set("PutSecretValue", http.StatusOK, `{"VersionStages":["AWSPENDING","quilt-key:3f2a"]}`)
	p := pending
	p.RotationToken = redact.Text{}
	if err := v.PutPending(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if token, there := s.requests()[0].input["RotationToken"]; there {
		t.Errorf("sent the token %q", token)
	}
}

func TestPutPendingAttachesAMissingKeyLabel(t *testing.T) {
	// Promise 3: if Secrets Manager stores the value without our label, the label is attached
	// immediately.
	for _, answer := range []string{`{"VersionStages":["AWSPENDING"]}`, `{}`} {
		s, v := start(t)
		s.set("PutSecretValue", http.StatusOK, answer)
		s.set("UpdateSecretVersionStage", http.StatusOK, `{}`)
		if err := v.PutPending(t.Context(), pending); err != nil {
			t.Fatal(err)
		}
		asked := s.requests()
		want := request{"UpdateSecretVersionStage", map[string]any{"SecretId": arn, "VersionStage": "quilt-key:3f2a",
			"MoveToVersionId": newVersion}}
		if diff := cmp.Diff(want, asked[len(asked)-1], cmp.AllowUnexported(request{})); diff != "" || len(asked) != 2 {
			t.Errorf("%s: %d calls, the last wrong (-want +got):\n%s", answer, len(asked), diff)
		}

		s.set("UpdateSecretVersionStage", http.StatusBadRequest,
			`{"__type":"LimitExceededException","Message":"20 labels"}`)
		service := new(vault.Error)
		if err := v.PutPending(t.Context(), pending); !errors.As(err, &service) ||
			service.Code != "LimitExceededException" {
			t.Errorf("%s: a label that cannot be attached gives %v", answer, err)
		}
	}
}

func TestLabelsMoveInOneCall(t *testing.T) {
	// Promise 1: the cut-over names the version that loses AWSCURRENT, so that the service refuses
	// the call if another run was faster.
	for name, c := range map[string]struct {
		move func(*vault.Vault, context.Context) error
		want map[string]any
	}{
		"Promote": {func(v *vault.Vault, ctx context.Context) error {
			return v.Promote(ctx, arn, newVersion, oldVersion)
		},
			map[string]any{"VersionStage": "AWSCURRENT", "MoveToVersionId": newVersion,
				"RemoveFromVersionId": oldVersion}},
		"Attach": {func(v *vault.Vault, ctx context.Context) error {
			return v.Attach(ctx, arn, "quilt-key:a", newVersion)
		},
			map[string]any{"VersionStage": "quilt-key:a", "MoveToVersionId": newVersion}},
		"Move": {func(v *vault.Vault, ctx context.Context) error {
			return v.Move(ctx, arn, "quilt-key:a", newVersion, oldVersion)
		},
			map[string]any{"VersionStage": "quilt-key:a", "MoveToVersionId": newVersion,
				"RemoveFromVersionId": oldVersion}},
		"Detach": {func(v *vault.Vault, ctx context.Context) error {
			return v.Detach(ctx, arn, "quilt-key:a", oldVersion)
		},
			map[string]any{"VersionStage": "quilt-key:a", "RemoveFromVersionId": oldVersion}},
	} {
		s, v := start(t)
		s.set("UpdateSecretVersionStage", http.StatusOK, `{}`)
		if err := c.move(v, t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.want["SecretId"] = arn
		if diff := cmp.Diff([]request{{"UpdateSecretVersionStage", c.want}}, s.requests(),
			cmp.AllowUnexported(request{})); diff != "" {
			t.Errorf("%s is wrong (-want +got):\n%s", name, diff)
		}

		s.set("UpdateSecretVersionStage", http.StatusBadRequest,
			`{"__type":"InvalidParameterException","Message":"the staging label is attached to another version"}`)
		service := new(vault.Error)
		if err := c.move(v, t.Context()); !errors.As(err, &service) || service.Code != "InvalidParameterException" ||
			service.Operation != "UpdateSecretVersionStage" {
			t.Errorf("%s, refused: %v", name, err)
		}
	}
}

func TestPutStoresAValueThatIsNotCurrent(t *testing.T) {
	// The value has only the label of its key until it is verified.
	s, v := start(t)
	s.set("PutSecretValue", http.StatusOK, `{"VersionStages":["quilt-key:3f2a"]}`)
	if err := v.Put(t.Context(), vault.NewValue{SecretARN: arn, VersionID: newVersion, Value: redact.New(value),
		KeyID: "3f2a"}); err != nil {
		t.Fatal(err)
	}
	want := []request{{"PutSecretValue", map[string]any{
		"SecretId": arn, "ClientRequestToken": newVersion, "SecretString": value, "VersionStages": []any{
			"quilt-key:3f2a"},
	}}}
	if diff := cmp.Diff(want, s.requests(), cmp.AllowUnexported(request{})); diff != "" {
		t.Errorf("wrong (-want +got):\n%s", diff)
	}
}
