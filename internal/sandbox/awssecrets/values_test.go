package awssecrets_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/sandbox/awssecrets"
)

// These operations must treat values and labels as AWS does.
func TestPutUpdateAndGetSecretValue(t *testing.T) {
	tests := map[string]func(*service){
		"put without stages moves AWSCURRENT and AWSPREVIOUS": func(s *service) {
			s.ok(s.put(2, "v2"))
			s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
			s.ok(s.put(3, "v3"))
			s.stages("2:AWSPREVIOUS 3:AWSCURRENT")
		},
		"put as AWSPENDING leaves AWSCURRENT": func(s *service) {
			s.ok(s.put(2, "v2", "AWSPENDING", "quilt-key:k2"))
			s.stages("1:AWSCURRENT 2:AWSPENDING,quilt-key:k2")
		},
		"put takes a label from the version that has it": func(s *service) {
			s.ok(s.put(2, "v2", "mine"))
			s.ok(s.put(3, "v3", "mine"))
			s.stages("1:AWSCURRENT 3:mine")
		},
		"put of the same token and value changes nothing, not even labels": func(s *service) {
			s.ok(s.put(2, "v2", "mine"))
			before := s.describe().LastChangedDate
			s.clock.Advance(5e9)
			s.ok(s.put(2, "v2", "other"))
			s.stages("1:AWSCURRENT 2:mine")
			if after := s.describe().LastChangedDate; !after.Equal(*before) {
				s.Fatalf("LastChangedDate changed from %v to %v, want no change", before, after)
			}
		},
		"put of the same token and another value is refused": func(s *service) {
			s.ok(s.put(2, "v2", "AWSPENDING"))
			s.refused(s.put(2, "v2b", "AWSPENDING"), "ResourceExistsException",
				"You can't use ClientRequestToken "+token(2)+" because that value is already in use for a version of "+
					"secret arn:")
		},
		"a new current version leaves custom labels where they are": func(s *service) {
			s.ok(s.move("mine", 0, 1))
			s.ok(s.put(2, "v2"))
			s.ok(s.put(3, "v3"))
			s.stages("1:mine 2:AWSPREVIOUS 3:AWSCURRENT")
		},
		"update always moves AWSCURRENT": func(s *service) {
			_, err := s.client.UpdateSecret(s.Context(), &secretsmanager.UpdateSecretInput{
				SecretId: aws.String(name), ClientRequestToken: aws.String(token(2)), SecretString: aws.String("v2"),
			})
			s.ok(err)
			s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
		},
		"update with the token of a version is refused, even with the same value": func(s *service) {
			_, err := s.client.UpdateSecret(s.Context(), &secretsmanager.UpdateSecretInput{
				SecretId: aws.String(name), ClientRequestToken: aws.String(token(1)), SecretString: aws.String("v1"),
			})
			s.refused(err, "ResourceExistsException")
		},
		"update without a value changes only the details": func(s *service) {
			out, err := s.client.UpdateSecret(s.Context(), &secretsmanager.UpdateSecretInput{
				SecretId: aws.String(name), Description: aws.String("the key"), KmsKeyId: aws.String("alias/k"),
			})
			s.ok(err)
			if out.VersionId != nil {
				s.Fatalf("the update created version %s", *out.VersionId)
			}
			if d := s.describe(); aws.ToString(d.Description) != "the key" || aws.ToString(d.KmsKeyId) != "alias/k" {
				s.Fatalf("got description %q, KMS key %q; want the key, alias/k",
					aws.ToString(d.Description), aws.ToString(d.KmsKeyId))
			}
			s.stages("1:AWSCURRENT")
		},
		"get without stage and version returns AWSCURRENT": func(s *service) {
			s.ok(s.put(2, "v2"))
			if v, err := s.get("", 0); err != nil || v != "v2" {
				s.Fatalf("got %q, %v", v, err)
			}
			s.ok(s.move("AWSCURRENT", 2, 1))
			if v, err := s.get("", 0); err != nil || v != "v1" {
				s.Fatalf("after a move got %q, %v", v, err)
			}
		},
		"get finds a version without labels": func(s *service) {
			s.ok(s.put(2, "v2"))
			s.ok(s.put(3, "v3"))
			if v, err := s.get("", 1); err != nil || v != "v1" {
				s.Fatalf("got %q, %v", v, err)
			}
		},
		"get with a version that does not have the stage is refused": func(s *service) {
			s.ok(s.put(2, "v2"))
			_, err := s.get("AWSCURRENT", 1)
			s.refused(err, "InvalidRequestException", "not associated to the provided VersionId")
			if v, err := s.get("AWSCURRENT", 2); err != nil || v != "v2" {
				s.Fatalf("got %q, %v", v, err)
			}
		},
		"get of a stage or version that does not exist is not found": func(s *service) {
			_, err := s.get("AWSPREVIOUS", 0)
			s.refused(err, "ResourceNotFoundException", "for staging label: AWSPREVIOUS")
			_, err = s.get("", 9)
			s.refused(err, "ResourceNotFoundException", "for VersionId: "+token(9))
		},
		"a binary value is returned unchanged": func(s *service) {
			bytesIn := []byte{0, 1, 0xff, '\n'}
			_, err := s.client.PutSecretValue(s.Context(), &secretsmanager.PutSecretValueInput{
				SecretId: aws.String(name), ClientRequestToken: aws.String(token(2)), SecretBinary: bytesIn,
			})
			s.ok(err)
			out, err := s.client.GetSecretValue(s.Context(),
				&secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
			s.ok(err)
			if !bytes.Equal(out.SecretBinary, bytesIn) || out.SecretString != nil {
				s.Fatalf("got bytes %v and text %v", out.SecretBinary, out.SecretString)
			}
		},
		"a text value is returned unchanged": func(s *service) {
			text := "{ \"k\": \"<&>\u2028\\u0041\" }\r\n"
			s.ok(s.put(2, text))
			if v, err := s.get("", 0); err != nil || v != text {
				s.Fatalf("got %q, %v", v, err)
			}
		},
		"a value has at most 65,536 bytes": func(s *service) {
			s.ok(s.put(2, strings.Repeat("é", 32768)))
			s.refused(s.put(3, strings.Repeat("x", 65537)), "InvalidParameterException")
		},
		"a put needs a value": func(s *service) {
			_, err := s.client.PutSecretValue(s.Context(),
				&secretsmanager.PutSecretValueInput{SecretId: aws.String(name)})
			s.refused(err, "InvalidRequestException", "You must provide either SecretString or SecretBinary.")
		},
		"a put with text and bytes is refused": func(s *service) {
			_, err := s.client.PutSecretValue(s.Context(), &secretsmanager.PutSecretValueInput{
				SecretId: aws.String(name), SecretString: aws.String("a"), SecretBinary: []byte("b"),
			})
			s.refused(err, "InvalidParameterException")
		},
		"a token has 32 to 64 characters": func(s *service) {
			for n, valid := range map[int]bool{31: false, 32: true, 64: true, 65: false} {
				_, err := s.client.PutSecretValue(s.Context(), &secretsmanager.PutSecretValueInput{
					SecretId: aws.String(name), SecretString: aws.String("a"),
					ClientRequestToken: aws.String(strings.Repeat("t", n)),
				})
				if valid {
					s.ok(err)
				} else {
					s.refused(err, "InvalidParameterException", "32-64")
				}
			}
		},
		"a label has 1 to 256 characters": func(s *service) {
			s.ok(s.put(2, "v2", strings.Repeat("l", 256)))
			s.refused(s.put(3, "v3", strings.Repeat("l", 257)), "InvalidParameterException")
			s.refused(s.put(3, "v3", ""), "InvalidParameterException")
		},
		"LastAccessedDate is the day of the last read": func(s *service) {
			if d := s.describe().LastAccessedDate; d != nil {
				s.Fatalf("LastAccessedDate is %v before the first read", d)
			}
			_, err := s.get("", 0)
			s.ok(err)
			if d := s.describe().LastAccessedDate; d == nil || !d.Equal(s.clock.Now().Truncate(24*3600e9)) {
				s.Fatalf("LastAccessedDate is %v, want the day of %v", d, s.clock.Now())
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, awssecrets.Options{})
			s.create()
			test(s)
		})
	}
}

// The first value of a secret is current, even if a rotation function stores it as pending.
func TestFirstValueIsCurrent(t *testing.T) {
	s := start(t, awssecrets.Options{})
	_, err := s.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name)})
	s.ok(err)
	_, err = s.get("", 0)
	s.refused(err, "ResourceNotFoundException", "for staging label: AWSCURRENT")
	s.ok(s.put(1, "v1", "AWSPENDING"))
	s.stages("1:AWSCURRENT,AWSPENDING")
}

// Stale reads must return the state before the last write, for as many reads as the test asks.
func TestReadsLagBehindTheLastWrite(t *testing.T) {
	s := start(t, awssecrets.Options{})
	s.create()
	s.ok(s.put(2, "v2"))
	s.SetReadLag(2)
	s.stages("1:AWSCURRENT")
	if v, err := s.get("", 0); err != nil || v != "v1" {
		t.Fatalf("a stale read returned %q, %v; want v1", v, err)
	}
	if v, err := s.get("", 0); err != nil || v != "v2" {
		t.Fatalf("the next read returned %q, %v; want v2", v, err)
	}
}
