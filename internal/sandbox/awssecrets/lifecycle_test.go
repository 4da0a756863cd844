package awssecrets_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/sandbox/awssecrets"
)

// Callers use names, ARNs and ARNs without the suffix.
func TestSecretIsFoundByNameARNAndPartialARN(t *testing.T) {
	s := start(t, awssecrets.Options{})
	s.create()
	arn := awssecrets.ARN("us-east-1", "123456789012", name)
	tests := map[string]bool{
		name: true,
		arn:  true,
		strings.TrimSuffix(arn, arn[len(arn)-7:]): true,
		"prod":                      false,
		arn[:len(arn)-1]:            false,
		arn[:len(arn)-6] + "AAAAAA": false,
		awssecrets.ARN("eu-west-1", "123456789012", name): false,
		awssecrets.ARN("us-east-1", "000000000000", name): false,
	}
	for id, found := range tests {
		out, err := s.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(id)})
		if !found {
			s.refused(err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
			continue
		}
		if err != nil || aws.ToString(out.ARN) != arn || aws.ToString(out.Name) != name {
			t.Errorf("DescribeSecret of %s returned %v, %v; want %s", id, out, err, arn)
		}
	}
}

// CreateSecret must be repeatable, and must not overwrite a secret.
func TestCreateSecretIsRepeatableAndNeverOverwrites(t *testing.T) {
	create := func(s *service, change func(*secretsmanager.CreateSecretInput)) error {
		in := &secretsmanager.CreateSecretInput{
			Name: aws.String(name), SecretString: aws.String("v1"), ClientRequestToken: aws.String(token(1)),
		}
		if change != nil {
			change(in)
		}
		_, err := s.client.CreateSecret(s.Context(), in)
		return err
	}
	tests := map[string]struct {
		change func(*secretsmanager.CreateSecretInput)
		code   string
	}{
		"same request again": {nil, ""},
		"another value": {func(in *secretsmanager.CreateSecretInput) { in.SecretString = aws.String("v2") },
			"ResourceExistsException"},
		"another token": {func(in *secretsmanager.CreateSecretInput) { in.ClientRequestToken = aws.String(token(2)) },
			"ResourceExistsException"},
		"all characters": {func(in *secretsmanager.CreateSecretInput) { in.Name = aws.String("aZ09/_+=.@-") }, ""},
		"a colon": {func(in *secretsmanager.CreateSecretInput) { in.Name = aws.String("a:b") },
			"InvalidParameterException"},
		"a space": {func(in *secretsmanager.CreateSecretInput) { in.Name = aws.String("a b") },
			"InvalidParameterException"},
		"512 characters": {func(in *secretsmanager.CreateSecretInput) {
			in.Name = aws.String(strings.Repeat("n", 512))
		}, ""},
		"513 characters": {func(in *secretsmanager.CreateSecretInput) {
			in.Name = aws.String(strings.Repeat("n", 513))
		}, "InvalidParameterException"},
		"text and bytes": {func(in *secretsmanager.CreateSecretInput) { in.SecretBinary = []byte("v") },
			"InvalidParameterException"},
		"an empty value": {func(in *secretsmanager.CreateSecretInput) {
			in.Name = aws.String("n")
			in.SecretString = aws.String("")
		}, "InvalidParameterException"},
		"a long description": {func(in *secretsmanager.CreateSecretInput) {
			in.Description = aws.String(strings.Repeat("d", 2049))
		}, "InvalidParameterException"},
		"a short token": {func(in *secretsmanager.CreateSecretInput) { in.ClientRequestToken = aws.String("t") },
			"InvalidParameterException"},
		"a reserved tag": {func(in *secretsmanager.CreateSecretInput) {
			in.Name = aws.String("n")
			in.Tags = tags("aws:x")
		}, "InvalidParameterException"},
		"51 tags": {func(in *secretsmanager.CreateSecretInput) {
			in.Name = aws.String("n")
			in.Tags = numberedTags(51)
		}, "InvalidParameterException"},
		"50 tags and no value": {func(in *secretsmanager.CreateSecretInput) {
			in.Name = aws.String("n")
			in.SecretString = nil
			in.Tags = numberedTags(50)
		}, ""},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			s := start(t, awssecrets.Options{})
			s.create()
			err := create(s, test.change)
			if test.code == "" {
				s.ok(err)
			} else {
				s.refused(err, test.code)
			}
			s.stages("1:AWSCURRENT")
		})
	}
}

func tags(keys ...string) (tags []types.Tag) {
	for _, k := range keys {
		tags = append(tags, types.Tag{Key: aws.String(k), Value: aws.String("of " + k)})
	}
	return tags
}

func numberedTags(n int) []types.Tag {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint("k", i))
	}
	return tags(keys...)
}

// A secret that is marked for deletion can only be described, restored or deleted permanently.
func TestSecretMarkedForDeletionRefusesOperations(t *testing.T) {
	s, _ := startWithRotator(t, awssecrets.Options{})
	id := aws.String(name)
	remove := func(in secretsmanager.DeleteSecretInput) (*secretsmanager.DeleteSecretOutput, error) {
		in.SecretId = id
		return s.client.DeleteSecret(t.Context(), &in)
	}
	_, err := remove(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(6)})
	s.refused(err, "InvalidParameterException", "between 7 and 30 days")
	_, err = remove(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7),
		ForceDeleteWithoutRecovery: aws.Bool(true)})
	s.refused(err, "InvalidParameterException", "in conjunction with")
	out, err := remove(secretsmanager.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7)})
	s.ok(err)
	if left := out.DeletionDate.Sub(s.clock.Now()); left < 6*24*time.Hour || left > 7*24*time.Hour {
		t.Errorf("the secret is deleted in %v, want 7 days", left)
	}
	if d := s.describe().DeletedDate; d == nil || !d.Equal(*out.DeletionDate) {
		t.Errorf("DeletedDate is %v, want %v", d, out.DeletionDate)
	}

	refusals := map[string]error{"PutSecretValue": s.put(2, "v2"), "UpdateSecretVersionStage": s.move("l", 0, 1),
		"RotateSecret": s.rotate(2, nil)}
	_, refusals["GetSecretValue"] = s.get("", 0)
	_, refusals["UpdateSecret"] = s.client.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: id,
		Description: aws.String("d")})
	_, refusals["TagResource"] = s.client.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: id,
		Tags: tags("k")})
	_, refusals["UntagResource"] = s.client.UntagResource(t.Context(), &secretsmanager.UntagResourceInput{SecretId: id,
		TagKeys: []string{"k"}})
	_, refusals["CancelRotateSecret"] = s.client.CancelRotateSecret(t.Context(),
		&secretsmanager.CancelRotateSecretInput{SecretId: id})
	_, refusals["GetResourcePolicy"] = s.client.GetResourcePolicy(t.Context(),
		&secretsmanager.GetResourcePolicyInput{SecretId: id})
	_, refusals["PutResourcePolicy"] = s.client.PutResourcePolicy(t.Context(),
		&secretsmanager.PutResourcePolicyInput{SecretId: id, ResourcePolicy: aws.String("{}")})
	_, refusals["DeleteSecret"] = remove(secretsmanager.DeleteSecretInput{})
	_, refusals["CreateSecret"] = s.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: id,
		SecretString: aws.String("v")})
	for operation, err := range refusals {
		t.Run(operation, func(t *testing.T) {
			(&service{TB: t}).refused(err, "InvalidRequestException", "deletion")
		})
	}

	_, err = s.client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: id})
	s.ok(err)
	if v, err := s.get("", 0); err != nil || v != "v1" {
		t.Errorf("the restored secret has the value %q, %v; want v1", v, err)
	}
}

// A deleted secret no longer exists and its name can be used again, after the recovery window or at
// once.
func TestDeletedSecretNoLongerExists(t *testing.T) {
	for what, remove := range map[string]func(*service) error{
		"after 30 days by default": func(s *service) error {
			_, err := s.client.DeleteSecret(s.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name)})
			s.clock.Advance(30*24*time.Hour - time.Minute)
			s.describe()
			s.clock.Advance(time.Minute)
			return err
		},
		"at once": func(s *service) error {
			_, err := s.client.DeleteSecret(s.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name),
				ForceDeleteWithoutRecovery: aws.Bool(true)})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t, awssecrets.Options{})
			s.create()
			s.ok(remove(s))
			_, err := s.get("", 0)
			s.refused(err, "ResourceNotFoundException")
			_, err = s.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name)})
			s.refused(err, "ResourceNotFoundException")
			_, err = s.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name),
				ForceDeleteWithoutRecovery: aws.Bool(true)})
			s.ok(err)
			s.create()
			s.stages("1:AWSCURRENT")
		})
	}
}

func TestTagsAreAddedReplacedAndRemoved(t *testing.T) {
	s := start(t, awssecrets.Options{})
	s.create()
	tag := func(in []types.Tag) error {
		_, err := s.client.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String(name),
			Tags: in})
		return err
	}
	s.ok(tag(tags("a", "b")))
	s.ok(tag([]types.Tag{{Key: aws.String("b"), Value: aws.String("new")}}))
	s.refused(tag(numberedTags(49)), "InvalidParameterException")
	_, err := s.client.UntagResource(t.Context(), &secretsmanager.UntagResourceInput{SecretId: aws.String(name),
		TagKeys: []string{"a", "absent"}})
	s.ok(err)
	if got := s.describe().Tags; len(got) != 1 || aws.ToString(got[0].Key) != "b" ||
		aws.ToString(got[0].Value) != "new" {
		t.Fatalf("tags are %v, want only b=new", got)
	}
}

// As documented: filters match by prefix, an exclamation mark negates, one value of a filter must
// match, and all filters must match.
func TestListFilters(t *testing.T) {
	s := start(t, awssecrets.Options{})
	for i, secret := range []struct{ name, description, tag string }{
		{"prod/quilt", "Key of the Registry", "quilt-rotate:grace"},
		{"prod/db", "Password", "team"},
		{"Prod/other", "", ""},
	} {
		in := &secretsmanager.CreateSecretInput{Name: aws.String(secret.name),
			Description: aws.String(secret.description), ClientRequestToken: aws.String(token(i + 1))}
		if secret.tag != "" {
			in.Tags = tags(secret.tag)
		}
		_, err := s.client.CreateSecret(t.Context(), in)
		s.ok(err)
	}
	filter := func(key types.FilterNameStringType, values ...string) types.Filter {
		return types.Filter{Key: key, Values: values}
	}
	tests := []struct {
		filters []types.Filter
		want    string
	}{
		{nil, "prod/quilt prod/db Prod/other"},
		{[]types.Filter{filter("name", "prod")}, "prod/quilt prod/db"},
		{[]types.Filter{filter("name", "quilt")}, ""},
		{[]types.Filter{filter("name", "!prod")}, "Prod/other"},
		{[]types.Filter{filter("name", "prod/d", "Prod")}, "prod/db Prod/other"},
		{[]types.Filter{filter("name", "prod"), filter("description", "KEY")}, "prod/quilt"},
		{[]types.Filter{filter("tag-key", "quilt-rotate:")}, "prod/quilt"},
		{[]types.Filter{filter("tag-key", "!quilt-rotate:")}, "prod/db Prod/other"},
		{[]types.Filter{filter("tag-value", "of t")}, "prod/db"},
		{[]types.Filter{filter("primary-region", "us-")}, "prod/quilt prod/db Prod/other"},
		{[]types.Filter{filter("owning-service", "rds")}, ""},
		{[]types.Filter{filter("all", "registry prod")}, "prod/quilt"},
		{[]types.Filter{filter("all", "PROD")}, "prod/quilt prod/db Prod/other"},
	}
	for _, test := range tests {
		out, err := s.client.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{Filters: test.filters})
		s.ok(err)
		if got := names(out.SecretList); got != test.want {
			t.Errorf("filters %v list %q, want %q", test.filters, got, test.want)
		}
	}
	_, err := s.client.ListSecrets(t.Context(),
		&secretsmanager.ListSecretsInput{Filters: []types.Filter{filter("colour", "red")}})
	s.refused(err, "InvalidParameterException")
}

func names(list []types.SecretListEntry) string {
	var names []string
	for _, e := range list {
		names = append(names, aws.ToString(e.Name))
	}
	return strings.Join(names, " ")
}

// ListSecrets returns pages, sorts, and includes secrets that are marked for deletion only on
// request.
func TestListPages(t *testing.T) {
	s := start(t, awssecrets.Options{})
	for n := range 5 {
		_, err := s.client.CreateSecret(t.Context(),
			&secretsmanager.CreateSecretInput{Name: aws.String(fmt.Sprint("s", n)), SecretString: aws.String("v")})
		s.ok(err)
	}
	_, err := s.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("s2")})
	s.ok(err)
	list := func(in secretsmanager.ListSecretsInput) string {
		in.MaxResults = aws.Int32(2)
		var all []types.SecretListEntry
		for pages := secretsmanager.NewListSecretsPaginator(s.client, &in); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			s.ok(err)
			if len(page.SecretList) > 2 {
				t.Fatalf("a page has %d secrets, want at most 2", len(page.SecretList))
			}
			all = append(all, page.SecretList...)
		}
		if !slices.ContainsFunc(all, func(e types.SecretListEntry) bool { return len(e.SecretVersionsToStages) == 1 }) {
			t.Error("no secret in the list has exactly one version with labels")
		}
		return names(all)
	}
	if got := list(secretsmanager.ListSecretsInput{}); got != "s0 s1 s3 s4" {
		t.Errorf("got %q, want s0 s1 s3 s4", got)
	}
	if got := list(secretsmanager.ListSecretsInput{SortOrder: "desc",
		IncludePlannedDeletion: aws.Bool(true)}); got != "s4 s3 s2 s1 s0" {
		t.Errorf("all secrets in descending order are %q, want s4 s3 s2 s1 s0", got)
	}
	_, err = s.client.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{SortOrder: "up"})
	s.refused(err, "InvalidParameterException")
	_, err = s.client.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(101)})
	s.refused(err, "InvalidParameterException")
}

// A replica is a status, which a test can set. A secret with replicas cannot be deleted.
func TestReplicaStatus(t *testing.T) {
	s := start(t, awssecrets.Options{})
	s.create()
	add := func(region string) error {
		_, err := s.client.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
			SecretId: aws.String(name), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(region)}},
		})
		return err
	}
	s.ok(add("eu-west-1"))
	s.refused(add("us-east-1"), "InvalidParameterException")
	s.refused(add("invalid"), "InvalidParameterException")
	status := func() string {
		d := s.describe()
		if len(d.ReplicationStatus) != 1 || aws.ToString(d.PrimaryRegion) != "us-east-1" {
			t.Fatalf("replicas are %v, primary region %v", d.ReplicationStatus, d.PrimaryRegion)
		}
		r := d.ReplicationStatus[0]
		return fmt.Sprint(aws.ToString(r.Region), " ", r.Status, " ", aws.ToString(r.StatusMessage))
	}
	if got := status(); got != "eu-west-1 InSync " {
		t.Errorf("the status of a new replica is %q", got)
	}
	s.ok(s.SetReplicaStatus(name, "eu-west-1", awssecrets.Failed, "no key"))
	if got := status(); got != "eu-west-1 Failed no key" {
		t.Errorf("the status of the replica is %q", got)
	}
	if err := s.SetReplicaStatus(name, "eu-west-2", awssecrets.Failed, ""); err == nil {
		t.Error("SetReplicaStatus succeeded for a region without a replica")
	}
	_, err := s.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name)})
	s.refused(err, "InvalidParameterException", "eu-west-1")
	_, err = s.client.RemoveRegionsFromReplication(t.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{
		SecretId: aws.String(name), RemoveReplicaRegions: []string{"eu-west-1"},
	})
	s.ok(err)
	_, err = s.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name)})
	s.ok(err)
}

// GetResourcePolicy returns the policy as it was stored.
func TestResourcePolicy(t *testing.T) {
	s := start(t, awssecrets.Options{})
	s.create()
	put := func(policy string) error {
		_, err := s.client.PutResourcePolicy(t.Context(),
			&secretsmanager.PutResourcePolicyInput{SecretId: aws.String(name), ResourcePolicy: aws.String(policy)})
		return err
	}
	get := func() string {
		out, err := s.client.GetResourcePolicy(t.Context(),
			&secretsmanager.GetResourcePolicyInput{SecretId: aws.String(name)})
		s.ok(err)
		return aws.ToString(out.ResourcePolicy)
	}
	s.refused(put("{"), "MalformedPolicyDocumentException")
	s.ok(put(`{"Statement": []}`))
	if got := get(); got != `{"Statement": []}` {
		t.Errorf("got policy %q", got)
	}
	_, err := s.client.DeleteResourcePolicy(t.Context(), &secretsmanager.DeleteResourcePolicyInput{
		SecretId: aws.String(name)})
	s.ok(err)
	if got := get(); got != "" {
		t.Errorf("got policy %q after it was deleted", got)
	}
}

// GetRandomPassword respects the length and the character types of the request.
func TestRandomPassword(t *testing.T) {
	s := start(t, awssecrets.Options{})
	password := func(in secretsmanager.GetRandomPasswordInput) (string, error) {
		out, err := s.client.GetRandomPassword(t.Context(), &in)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.RandomPassword), nil
	}
	if p, err := password(secretsmanager.GetRandomPasswordInput{}); err != nil || len(p) != 32 ||
		!strings.ContainsAny(p, "0123456789") {
		t.Errorf("the default password is %q, %v; want 32 characters with a digit", p, err)
	}
	p, err := password(secretsmanager.GetRandomPasswordInput{
		PasswordLength: aws.Int64(400), ExcludePunctuation: aws.Bool(true), ExcludeUppercase: aws.Bool(true),
		ExcludeLowercase: aws.Bool(true),
		IncludeSpace:     aws.Bool(true), ExcludeCharacters: aws.String("0"),
	})
	if err != nil || len(p) != 400 || strings.Trim(p, " 123456789") != "" || !strings.Contains(p, " ") {
		t.Errorf("the password is %q, %v; want 400 spaces and digits", p, err)
	}
	_, err = password(secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(3)})
	s.refused(err, "InvalidParameterException", "too short")
	_, err = password(secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(4097)})
	s.refused(err, "InvalidParameterException")
}
