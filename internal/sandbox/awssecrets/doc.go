// Package awssecrets is AWS Secrets Manager on loopback: the service's wire protocol (AWS JSON 1.1)
// over a model of secrets, versions, staging labels and rotation, so that the AWS SDKs and the AWS
// CLI work against it unchanged.
//
// It is for tests and the demo. It is stricter than the common emulators exactly where a rotation
// function looks: a pending version without a value, values that can be written once, labels that
// sit on one version, a compare-and-swap on every label move, rotations that run beside the caller,
// are retried with the same token, get stuck and are abandoned. The behaviour is that of the API
// model and the User Guide of AWS Secrets Manager (2017-10-17); where those are silent, a comment
// says what was chosen.
//
// It relies on the sandbox's clock for every date it stamps, compares or sends (each answer's Date
// header included), and on the caller for functions to invoke. It never verifies a SigV4 signature,
// a permission or a KMS key: every caller may do everything. It never throttles, never writes to
// disk and never holds its lock while a function runs.
package awssecrets
