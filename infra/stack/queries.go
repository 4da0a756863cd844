package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsathena"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
)

// Query is a question to the registry's audit trail (quilt: docs/advanced-features/good-practice.md).
type Query struct{ ID, Name, Description, SQL string }

// The trail has been seen with the names inside its JSON in lower case, and documented in camel case: each is looked for in both.
const (
	recent  = `"date" >= date_format(current_date - interval '30' day, '%Y/%m/%d')`
	keyType = `coalesce(json_extract_scalar(useridentity, '$.sessioncontext.auth.type'), json_extract_scalar(useridentity, '$.sessionContext.auth.type'))`
	keyID   = `coalesce(json_extract_scalar(useridentity, '$.sessioncontext.auth.keyid'), json_extract_scalar(useridentity, '$.sessionContext.auth.keyId'))`
	keyName = `coalesce(json_extract_scalar(useridentity, '$.sessioncontext.auth.keyname'), json_extract_scalar(useridentity, '$.sessionContext.auth.keyName'))`
	keyMark = `coalesce(json_extract_scalar(useridentity, '$.sessioncontext.auth.keyfingerprint'), json_extract_scalar(useridentity, '$.sessionContext.auth.keyFingerprint'))`
	user    = `coalesce(json_extract_scalar(useridentity, '$.username'), json_extract_scalar(useridentity, '$.userName'))`
	newID   = `coalesce(json_extract_scalar(responseelements, '$.apikey.id'), json_extract_scalar(responseelements, '$.apiKey.id'))`
	newName = `coalesce(json_extract_scalar(responseelements, '$.apikey.name'), json_extract_scalar(responseelements, '$.apiKey.name'))`
	newMark = `coalesce(json_extract_scalar(responseelements, '$.apikey.fingerprint'), json_extract_scalar(responseelements, '$.apiKey.fingerprint'))`
)

// Queries are the named queries.
var Queries = []Query{
	{"KeyUsage", "key usage", "Which keys were used in the last 30 days, from where, how often, and when last", `SELECT ` + keyName + ` AS key_name,
       ` + keyMark + ` AS fingerprint,
       ` + keyID + ` AS key_id,
       ` + user + ` AS user_name,
       sourceipaddress,
       count(*) AS calls,
       max(eventtime) AS last_used
FROM audit_trail
WHERE ` + recent + `
  AND ` + keyType + ` = 'api_key'
GROUP BY 1, 2, 3, 4, 5
ORDER BY last_used DESC`},
	{"FailedKeyLogins", "failed key logins", "Which logins with a key failed in the last 30 days, and why: a consumer that is late, or somebody who tries", `SELECT eventtime,
       errorcode,
       json_extract_scalar(requestparameters, '$.fingerprint') AS fingerprint,
       sourceipaddress,
       useragent
FROM audit_trail
WHERE ` + recent + `
  AND lower(eventname) = 'auth.apikey'
ORDER BY eventtime DESC`},
	{"KeysMadeAndRevoked", "keys created and revoked", "Which keys were created and revoked in the last 30 days, and by whom", `SELECT eventtime,
       eventname,
       ` + user + ` AS user_name,
       coalesce(` + newID + `, json_extract_scalar(requestparameters, '$.id')) AS key_id,
       ` + newName + ` AS key_name,
       ` + newMark + ` AS fingerprint,
       errorcode
FROM audit_trail
WHERE ` + recent + `
  AND lower(eventname) IN ('apikeys.create', 'apikeys.revoke', 'apikeys.admin.revoke')
ORDER BY eventtime DESC`},
}

func addQueries(stack awscdk.Stack, c *config.Config) {
	if c.Audit == nil {
		return
	}
	for _, q := range Queries {
		awsathena.NewCfnNamedQuery(stack, jsii.String("Query"+q.ID), &awsathena.CfnNamedQueryProps{
			Name: jsii.String(c.Stack + ": " + q.Name), Description: jsii.String(q.Description), Database: jsii.String(c.Audit.Database),
			WorkGroup: jsii.String(c.Audit.Workgroup), QueryString: jsii.String(q.SQL),
		})
	}
}
