package awssecrets_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/sandbox/awssecrets"
)

// UpdateSecretVersionStage is a compare-and-swap of labels. Each test has versions 1 (AWSPREVIOUS),
// 2 (AWSCURRENT) and 3 (AWSPENDING, mine).
func TestUpdateSecretVersionStage(t *testing.T) {
	tests := map[string]func(*service){
		"moving AWSCURRENT moves AWSPREVIOUS and leaves AWSPENDING": func(s *service) {
			s.ok(s.move("AWSCURRENT", 2, 3))
			s.stages("2:AWSPREVIOUS 3:AWSCURRENT,AWSPENDING,mine")
		},
		"rolling back swaps AWSCURRENT and AWSPREVIOUS": func(s *service) {
			s.ok(s.move("AWSCURRENT", 2, 1))
			s.stages("1:AWSCURRENT 2:AWSPREVIOUS 3:AWSPENDING,mine")
		},
		"a label on another version moves only if that version is named": func(s *service) {
			s.refused(s.move("AWSCURRENT", 0, 3), "InvalidParameterException",
				"The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to "+
					"version "+token(2))
			s.refused(s.move("mine", 0, 1), "InvalidParameterException", "can't be empty")
			s.stages("1:AWSPREVIOUS 2:AWSCURRENT 3:AWSPENDING,mine")
		},
		"naming the wrong version is refused": func(s *service) {
			s.refused(s.move("AWSCURRENT", 1, 3), "InvalidParameterException",
				"it must be set to the version that currently has")
			s.refused(s.move("mine", 1, 2), "InvalidParameterException")
			s.refused(s.move("mine", 1, 0), "InvalidParameterException")
			s.refused(s.move("absent", 1, 2), "InvalidParameterException")
			s.stages("1:AWSPREVIOUS 2:AWSCURRENT 3:AWSPENDING,mine")
		},
		"the second of two equal moves is refused": func(s *service) {
			s.ok(s.move("AWSCURRENT", 2, 3))
			s.refused(s.move("AWSCURRENT", 2, 3), "InvalidParameterException")
			s.stages("2:AWSPREVIOUS 3:AWSCURRENT,AWSPENDING,mine")
		},
		"AWSCURRENT cannot be removed": func(s *service) {
			s.refused(s.move("AWSCURRENT", 2, 0), "InvalidParameterException", "It can't be completely removed.")
			s.stages("1:AWSPREVIOUS 2:AWSCURRENT 3:AWSPENDING,mine")
		},
		"any other label can be removed": func(s *service) {
			s.ok(s.move("AWSPENDING", 3, 0))
			s.ok(s.move("mine", 3, 0))
			s.ok(s.move("AWSPREVIOUS", 1, 0))
			s.stages("2:AWSCURRENT")
		},
		"a new label can be attached without RemoveFromVersionId": func(s *service) {
			s.ok(s.move("yours", 0, 1))
			s.stages("1:AWSPREVIOUS,yours 2:AWSCURRENT 3:AWSPENDING,mine")
		},
		"moving a label to its own version changes nothing": func(s *service) {
			s.ok(s.move("mine", 0, 3))
			s.ok(s.move("mine", 3, 3))
			s.ok(s.move("AWSCURRENT", 2, 2))
			s.stages("1:AWSPREVIOUS 2:AWSCURRENT 3:AWSPENDING,mine")
		},
		"a version that does not exist is not found": func(s *service) {
			s.refused(s.move("mine", 3, 9), "ResourceNotFoundException")
			s.stages("1:AWSPREVIOUS 2:AWSCURRENT 3:AWSPENDING,mine")
		},
		"a move names at least one version": func(s *service) {
			s.refused(s.move("mine", 0, 0), "InvalidParameterException")
		},
		"a label change updates LastChangedDate": func(s *service) {
			before := s.describe().LastChangedDate
			s.clock.Advance(time.Minute)
			s.ok(s.move("yours", 0, 1))
			if after := s.describe().LastChangedDate; after.Sub(*before) < time.Minute {
				s.Fatalf("LastChangedDate went from %v to %v", before, after)
			}
		},
		"there are at most 20 labels, over all versions": func(s *service) {
			for n := range 16 { // 20 with the four existing labels
				s.ok(s.move(fmt.Sprint("l", n), 0, n%3+1))
			}
			s.refused(s.move("label 21", 0, 1), "LimitExceededException")
			s.refused(s.put(4, "v4", "label 21"), "LimitExceededException")
			if _, err := s.get("", 4); err == nil {
				s.Fatal("a refused put created a version")
			}
			s.ok(s.put(4, "v4", "l0", "AWSPENDING"))
		},
		"an event is emitted when any label except AWSPENDING and AWSPREVIOUS moves to a version": func(s *service) {
			seen := len(s.Events())
			s.ok(s.move("AWSCURRENT", 2, 3))
			s.ok(s.move("AWSPENDING", 3, 1))
			s.ok(s.move("mine", 3, 1))
			s.ok(s.move("mine", 1, 0))
			var reported []string
			for _, e := range s.Events()[seen:] {
				reported = append(reported, fmt.Sprint(e.Name, " ", e.Label, " ", e.VersionID == token(1),
					e.VersionID == token(3)))
			}
			want := []string{"Secret Label Updated AWSCURRENT false true", "Secret Label Updated mine true false"}
			if fmt.Sprint(reported) != fmt.Sprint(want) {
				s.Fatalf("the events are %q, want %q", reported, want)
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, awssecrets.Options{})
			s.create()
			s.ok(s.put(2, "v2"))
			s.ok(s.put(3, "v3", "AWSPENDING", "mine"))
			test(s)
		})
	}
}

// When a secret has more than 100 versions, only old versions without a label are purged.
func TestDeprecatedVersionsArePurged(t *testing.T) {
	s := start(t, awssecrets.Options{})
	s.create()
	s.ok(s.move("keep", 0, 1))
	for n := 2; n <= 100; n++ {
		s.ok(s.put(n, fmt.Sprint("v", n)))
	}
	s.refused(s.put(101, "v101"), "LimitExceededException")
	s.clock.Advance(25 * time.Hour)
	s.ok(s.put(101, "v101"))
	if v, err := s.get("keep", 0); err != nil || v != "v1" {
		t.Fatalf("the version with a label has the value %q, %v; want v1", v, err)
	}
	_, err := s.get("", 2)
	s.refused(err, "ResourceNotFoundException")
	if v, err := s.get("", 3); err != nil || v != "v3" {
		t.Fatalf("version 3 has the value %q, %v; want only the oldest version to be purged", v, err)
	}
}

// DescribeSecret returns only versions with labels. ListSecretVersionIds also returns the others on
// request.
func TestDeprecatedVersionsAreListedOnRequest(t *testing.T) {
	s := start(t, awssecrets.Options{})
	s.create()
	for n := 2; n <= 5; n++ {
		s.ok(s.put(n, fmt.Sprint("v", n)))
	}
	s.stages("4:AWSPREVIOUS 5:AWSCURRENT")
	list := func(deprecatedToo bool) (ids []string) {
		pages := secretsmanager.NewListSecretVersionIdsPaginator(s.client, &secretsmanager.ListSecretVersionIdsInput{
			SecretId: aws.String(name), IncludeDeprecated: aws.Bool(deprecatedToo), MaxResults: aws.Int32(2),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			s.ok(err)
			if len(page.Versions) > 2 || aws.ToString(page.ARN) != awssecrets.ARN("us-east-1", "123456789012", name) {
				t.Fatalf("a page has %d versions of %s, want at most 2", len(page.Versions), aws.ToString(page.ARN))
			}
			for _, v := range page.Versions {
				ids = append(ids, aws.ToString(v.VersionId))
			}
		}
		return ids
	}
	if got, want := fmt.Sprint(list(true)), fmt.Sprint([]string{token(1), token(2), token(3), token(4),
		token(5)}); got != want {
		t.Errorf("all versions are %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(list(false)), fmt.Sprint([]string{token(4), token(5)}); got != want {
		t.Errorf("versions with labels are %s, want %s", got, want)
	}
	_, err := s.client.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{
		SecretId: aws.String(name), NextToken: aws.String("invalid"),
	})
	s.refused(err, "InvalidNextTokenException")
}
