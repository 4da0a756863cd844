package quilt

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/Khan/genqlient/graphql"
)

// AccountKeys returns, in one request, the user that the credential belongs to and the user's keys
// with the given ids. Its cost does not depend on how many keys the user has. If a key is not in
// the result, the registry answered that the user has no such key.
//
// The query has one alias for each id, which the code generator does not support.
func (s *Session) AccountKeys(ctx context.Context, ids []string) (Account, error) {
	if len(ids) == 0 {
		who, err := s.Me(ctx)
		return Account{Identity: who}, err
	}
	c, err := s.start(ctx, "accountKeys", reads)
	if err != nil {
		return Account{}, err
	}
	var declared, asked strings.Builder
	variables := map[string]string{}
	for i, id := range ids {
		fmt.Fprintf(&declared, "$id%d: ID! ", i)
		fmt.Fprintf(&asked, " key%d: apiKey(id: $id%d) { ...keyFields }", i, i)
		variables[fmt.Sprintf("id%d", i)] = id
	}
	_, fields, _ := strings.Cut(login_Operation, "fragment keyFields") // as in the generated operations
	var got struct {
		Me map[string]json.RawMessage `json:"me"`
	}
	err = c.MakeRequest(ctx, &graphql.Request{
		OpName: c.operation, Variables: variables,
		Query: "query accountKeys(" + declared.String() + ") { me { name email isAdmin" + asked.String() + " } }\n" +
			"fragment keyFields" + fields,
	}, &graphql.Response{Data: &got})
	if err != nil {
		return Account{}, err
	}
	return c.accountKeys(got.Me, ids)
}

// accountKeys parses the answer. Null for an id means that the user has no such key. A missing
// field is an error.
func (c *call) accountKeys(me map[string]json.RawMessage, ids []string) (account Account, err error) {
	var user *meMe
	if raw, ok := c.field("data", "me"); ok && json.Unmarshal(raw, &user) != nil {
		return Account{}, c.protocol("a field of me has the wrong type")
	}
	if account.Identity, err = identity(c, user); err != nil {
		return Account{}, err
	}
	for i, id := range ids {
		alias := fmt.Sprintf("key%d", i)
		var found *keyFields
		if raw := me[alias]; raw != nil && json.Unmarshal(raw, &found) != nil {
			return Account{}, c.protocol("the answer does not match the schema: a key has the wrong form")
		}
		k, err := c.keyByID(id, found, "data", "me", alias)
		if err != nil {
			return Account{}, err
		}
		if k != nil {
			account.Keys = append(account.Keys, *k)
		}
	}
	return account, nil
}
