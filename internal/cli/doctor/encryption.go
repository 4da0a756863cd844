package doctor

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"quilt-rotate/internal/cli/awsclient"
)

// encryption checks the policy of the KMS key that encrypts the secret. The roles of the functions
// get the permission to use the key from IAM policies, which count only if the key policy delegates
// to the account (AWS KMS developer guide, "Default key policy").
func (p *examined) encryption(ctx context.Context) finding {
	if p.secret.KMSKey == "" {
		return ok("by the AWS managed key of Secrets Manager")
	}
	key, err := p.cloud.Key(ctx, p.secret.KMSKey)
	switch {
	case awsclient.Denied(err):
		return skip("the policy of the KMS key may not be read with these credentials (kms:DescribeKey, " +
			"kms:GetKeyPolicy)")
	case err != nil:
		return broken(err, "")
	case key.KeyState != "Enabled":
		return failure("enable it: aws kms enable-key --key-id "+key.Arn+" (if its deletion is scheduled, first: aws "+
			"kms cancel-key-deletion)", "the KMS key %s is %s: the secret cannot be read", key.Arn, key.KeyState)
	case !delegates(key.Policy, account12(key.Arn), p.function.Role):
		return failure("add the statement of docs/kms.md to its policy, for arn:aws:iam::"+account12(key.Arn)+":root",
			"the policy of the KMS key %s neither delegates to IAM nor names the rotate function's role: no rotation "+
				"can decrypt the secret", key.Arn)
	}
	return ok("by the KMS key %s", key.Arn)
}

// delegates reports whether a statement of a key policy allows the account or the role to decrypt.
// It does not evaluate conditions.
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
			// IAM actions have the wildcards * and ?, and ignore case
			matches, _ := path.Match(strings.ToLower(action), "kms:decrypt")
			return matches
		})
		if s.Effect == "Allow" && served && decrypts {
			return true
		}
	}
	return false
}

// texts returns all strings in a member of a policy, which may be a string, a list or an object.
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
