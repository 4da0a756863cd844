package doctor

import "testing"

func TestKeyPoliciesThatDelegate(t *testing.T) {
	// doctor must report a policy that does not work, and only such a policy.
	t.Parallel()
	const account, role = "123456789012", "arn:aws:iam::123456789012:role/rotate"
	for policy, want := range map[string]bool{
		`{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*"}]}`:                     true,
		`{"Statement": {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::123456789012:root"]}, "Action": ["kms:decrypt"]}}`:             true,
		`{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": ["kms:Encrypt", "kms:De*"]}]}`:                    true,
		`{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/rotate"}, "Action": "*"}]}`:                  true,
		`{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt"}]}`:                                                     true,
		`{"Statement": [{"Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*"}]}`:                      false,
		`{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::210987654321:root"}, "Action": "kms:*"}]}`:                     false,
		`{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/admin"}, "Action": "kms:*"}]}`:               false,
		`{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": ["kms:Encrypt", "kms:Get*"]}]}`: false,
		``: false,
	} {
		if got := delegates(policy, account, role); got != want {
			t.Errorf("%s: got %t, want %t", policy, got, !got)
		}
	}
}
