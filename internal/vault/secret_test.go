package vault_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/vault"
)

func TestDescribeReturnsEverythingButTheValues(t *testing.T) {
	s, v := start(t)
	s.set("DescribeSecret", http.StatusOK, `{"ARN":"`+arn+
		`","Name":"prod/pipeline","RotationEnabled":true,"RotationLambdaARN":"arn:function",
		"LastRotatedDate":1795371300,"NextRotationDate":1797963300.5,
		"RotationRules":{"ScheduleExpression":"rate(30 days)","Duration":"4h"},
		"Tags":[{"Key":"quilt-rotate:grace","Value":"48h"},{"Key":"empty"}],
		"VersionIdsToStages":{"`+oldVersion+`":["AWSPREVIOUS","quilt-key:old"],"`+newVersion+
		`":["AWSCURRENT"],"unlabelled":[]},
		"PrimaryRegion":"eu-central-1",
		"ReplicationStatus":[{"Region":"eu-west-1","Status":"InSync"},{"Region":"us-east-1","Status":"InProgress"}]}`)
	got, err := v.Describe(t.Context(), "prod/pipeline")
	if err != nil {
		t.Fatal(err)
	}
	want := vault.Secret{
		ARN: arn, Name: "prod/pipeline", Now: since,
		Rotation: vault.Rotation{Enabled: true, Function: "arn:function", Last: since, Next: time.Date(2026, 12, 22, 18,
			15, 0, 500_000_000, time.UTC),
			Rules: vault.RotationRules{Schedule: "rate(30 days)", Window: "4h"}},
		Tags: map[string]string{"quilt-rotate:grace": "48h", "empty": ""},
		Versions: map[string]vault.Version{
			oldVersion: {ID: oldVersion, Stages: []string{"AWSPREVIOUS", "quilt-key:old"}, Keys: []string{"old"}},
			newVersion: {ID: newVersion, Stages: []string{"AWSCURRENT"}},
		},
		PrimaryRegion: "eu-central-1",
		Replicas: []vault.Replica{{Region: "eu-west-1", Status: vault.InSync},
			{Region: "us-east-1", Status: "InProgress"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(vault.Mark{})); diff != "" {
		t.Errorf("wrong (-want +got):\n%s", diff)
	}
	if asked := s.requests(); len(asked) != 1 || asked[0].input["SecretId"] != "prod/pipeline" {
		t.Errorf("it asked %v", asked)
	}
}

func TestDescribeOfASecretThatWasNeverRotated(t *testing.T) {
	// Missing fields mean off, never and none.
	s, v := start(t)
	s.set("DescribeSecret", http.StatusOK, `{"ARN":"`+arn+`","Name":"prod/pipeline"}`)
	got, err := v.Describe(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	want := vault.Secret{ARN: arn, Name: "prod/pipeline", Now: since, Tags: map[string]string{},
		Versions: map[string]vault.Version{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong (-want +got):\n%s", diff)
	}
}

func TestDescribeReadsARotationAfterDays(t *testing.T) {
	// The older way to set a schedule has no expression.
	s, v := start(t)
	s.set("DescribeSecret", http.StatusOK, `{"ARN":"`+arn+
		`","Name":"prod/pipeline","RotationRules":{"AutomaticallyAfterDays":30}}`)
	got, err := v.Describe(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	if want := (vault.RotationRules{AfterDays: 30}); got.Rotation.Rules != want {
		t.Errorf("it read %+v, want %+v", got.Rotation.Rules, want)
	}
}

func TestDescribeOfADeletedSecret(t *testing.T) {
	s, v := start(t)
	s.set("DescribeSecret", http.StatusOK, `{"ARN":"`+arn+`","DeletedDate":1795371300}`)
	if got, err := v.Describe(t.Context(), arn); err != nil || !got.Deleted {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDescribeWithoutADateUsesTheCallersTime(t *testing.T) {
	// A zero time would end all grace periods.
	v := vault.New(stub{describe: func(context.Context) (*secretsmanager.DescribeSecretOutput, error) {
		return &secretsmanager.DescribeSecretOutput{}, nil
	}})
	before := time.Now()
	got, err := v.Describe(t.Context(), arn)
	if err != nil || got.Now.Before(before) || got.Now.After(time.Now()) || got.Now.Location() != time.UTC {
		t.Errorf("now is %v, %v", got.Now, err)
	}
}

func TestSecretFindsAndCountsLabels(t *testing.T) {
	secret := vault.Secret{Versions: map[string]vault.Version{}}
	for id, stages := range map[string][]string{
		newVersion: {vault.Current, "quilt-key:new"}, oldVersion: {vault.Previous, "quilt-key:old",
			vault.NewMark(oldVersion, since).Label()}, "4": {"blue"},
	} {
		secret.Versions[id] = vault.NewVersion(id, stages)
	}
	for label, want := range map[string]string{vault.Current: newVersion, "quilt-key:old": oldVersion, "blue": "4"} {
		if got, ok := secret.Holder(label); !ok || got.ID != want {
			t.Errorf("%s is on %q, %v; want %s", label, got.ID, ok, want)
		}
	}
	if got, ok := secret.Holder(vault.Pending); ok || got.ID != "" {
		t.Errorf("a label that nobody has is on %q, %v", got.ID, ok)
	}
	if n := secret.Labels(); n != 6 {
		t.Errorf("counted %d labels, want 6", n)
	}
	var order []string
	for _, v := range secret.Sorted() {
		order = append(order, v.ID)
	}
	if diff := cmp.Diff([]string{oldVersion, "4", newVersion}, order); diff != "" {
		t.Errorf("the order is wrong (-want +got):\n%s", diff)
	}
}

func TestReplicaIsTheCopyOutsideThePrimaryRegion(t *testing.T) {
	// A primary secret with replicas is not a replica.
	for _, c := range []struct{ arn, primary, want string }{
		{"arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/pipeline-AbCdEf", "", ""},
		{"arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/pipeline-AbCdEf", "eu-central-1", ""},
		{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/eu-central-1:x-AbCdEf", "eu-central-1",
			"eu-central-1"},
		{"arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:prod/pipeline-AbCdEf", "cn-northwest-1",
			"cn-northwest-1"},
	} {
		if got := (vault.Secret{ARN: c.arn, PrimaryRegion: c.primary}).ReplicaOf(); got != c.want {
			t.Errorf("%s with the primary region %q is a replica of %q, want %q", c.arn, c.primary, got, c.want)
		}
	}
}
