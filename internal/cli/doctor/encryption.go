package doctor

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"quilt-rotate/internal/cli/awsclient"
)

// encryption looks at the policy of the KMS key that encrypts the secret. The roles of the
// functions get their use of it from policies of IAM, which count only if the key's policy
// delegates to the account (AWS KMS developer guide, "Default key policy").
func (p *patient) encryption(ctx context.Context) finding {
	if p.secret.KMSKey == "" {
		return ok("the key of Secrets Manager that AWS manages")
	}
	key, err := p.cloud.Key(ctx, p.secret.KMSKey)
	switch {
	case awsclient.Denied(err):
		return skip("the policy of the KMS key may not be read with these credentials (kms:DescribeKey, " +
			"kms:GetKeyPolicy)")
	case err != nil:
		return broken(err, "")
	case key.KeyState != "Enabled":
		return failure("enable it, after aws kms cancel-key-deletion if it is to be deleted: aws kms enable-key "+
			"--key-id "+key.Arn, "the KMS key %s is %s: the secret cannot be read", key.Arn, key.KeyState)
	case !delegates(key.Policy, account12(key.Arn), p.function.Role):
		return failure("add the statement of docs/kms.md to its policy, for arn:aws:iam::"+account12(key.Arn)+":root",
			"the policy of the KMS key %s neither delegates to IAM nor names the rotate function's role: no rotation "+
				"can decrypt the secret", key.Arn)
	}
	return ok("by the KMS key %s", key.Arn)
}

// delegates reports whether a statement of a key's policy lets the account or the role decrypt. Its
// conditions are not evaluated.
func delegates(policy, account, role string) bool {
	var document struct{ Statement json.RawMessage }
	_ = json.Unmarshal([]byte(policy), &document)
	var statements []struct {
		Effect            string
		Principal, Action any
	}
	if json.Unmarshal(document.Statement, &statements) != nil { // a single one may have no list around it
		_ = json.Unmarshal([]byte("["+string(document.Statement)+"]"), &statements)
	}
	for _, s := range statements {
		served := slices.ContainsFunc(texts(s.Principal), func(who string) bool {
			return who == "*" || who == account || who != "" && who == role ||
				strings.HasSuffix(who, "::"+account+":root")
		})
		decrypts := slices.ContainsFunc(texts(s.Action), func(action string) bool {
			// an action of IAM knows * and ?, and no case
			matches, _ := path.Match(strings.ToLower(action), "kms:decrypt")
			return matches
		})
		if s.Effect == "Allow" && served && decrypts {
			return true
		}
	}
	return false
}

// texts are all texts in a member of a policy: one, a list, or an object of them.
func texts(member any) (list []string) {
	switch member := member.(type) {
	case string:
		list = append(list, member)
	case []any:
		for _, each := range member {
			list = append(list, texts(each)...)
		}
	case map[string]any:
		for _, each := range member {
			list = append(list, texts(each)...)
		}
	}
	return list
}
