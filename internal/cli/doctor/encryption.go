package doctor

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"quilt-rotate/internal/cli/awsclient"
)

// encryption looks at the policy of the KMS key that encrypts the secret. The roles of the functions get their use of it from policies of IAM, which count only
// if the key's policy delegates to the account (AWS KMS developer guide, "Default key policy").
func (p *patient) encryption(ctx context.Context) finding {
	if p.secret.KMSKey == "" {
		return ok("the key of Secrets Manager that AWS manages")
	}
	key, err := p.cloud.Key(ctx, p.secret.KMSKey)
	switch {
	case awsclient.Denied(err):
		return skip("the policy of the KMS key may not be read with these credentials (kms:DescribeKey, kms:GetKeyPolicy)")
	case err != nil:
		return broken(err, "")
	case key.KeyState != "Enabled":
		return failure("enable it: aws kms enable-key --key-id "+key.Arn, "the KMS key %s is %s: the secret cannot be read", key.Arn, key.KeyState)
	case key.Policy != "" && !delegates(key.Policy, account12(key.Arn), p.function.Role):
		return failure("add the statement of docs/kms.md to its policy, for arn:aws:iam::"+account12(key.Arn)+":root",
			"the policy of the KMS key %s does not delegate to IAM, and does not name the role of %s, so no rotation can decrypt the secret", key.Arn, p.function.Name)
	}
	return ok("by the KMS key %s", key.Arn)
}

// delegates reports whether a statement of a key's policy lets the account or the role decrypt. Its conditions are not evaluated.
func delegates(policy, account, role string) bool {
	var document struct {
		Statement []struct {
			Effect    string
			Principal json.RawMessage // "*", or an object
			Action    any             // a text, or a list
		}
	}
	if json.Unmarshal([]byte(policy), &document) != nil {
		return false
	}
	for _, s := range document.Statement {
		var principal struct{ AWS any }
		var anybody string
		if json.Unmarshal(s.Principal, &anybody) == nil {
			principal.AWS = anybody
		} else if json.Unmarshal(s.Principal, &principal) != nil {
			continue
		}
		served := slices.ContainsFunc(texts(principal.AWS), func(who string) bool {
			return who == "*" || who == account || who == role || strings.HasSuffix(who, "::"+account+":root")
		})
		decrypts := slices.ContainsFunc(texts(s.Action), func(action string) bool {
			return slices.Contains([]string{"*", "kms:*", "kms:Decrypt", "kms:D*"}, action)
		})
		if s.Effect == "Allow" && served && decrypts {
			return true
		}
	}
	return false
}

// texts are the texts of a member that is one text or a list of them.
func texts(member any) (list []string) {
	switch member := member.(type) {
	case string:
		return []string{member}
	case []any:
		for _, each := range member {
			text, _ := each.(string)
			list = append(list, text)
		}
	}
	return list
}
