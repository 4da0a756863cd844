// Package awssecrets implements AWS Secrets Manager on loopback. It speaks the service's wire
// protocol (AWS JSON 1.1) and keeps a model of secrets, versions, staging labels and rotation. The
// AWS SDKs and the AWS CLI work with it unchanged.
//
// It is for tests and the demo. It is stricter than common emulators in everything that a rotation
// function relies on: a pending version can exist without a value, a value can be written only
// once, a label is on one version, and each move of a label is a compare-and-swap. A rotation runs
// asynchronously, is retried with the same token, can get stuck, and can be abandoned. The
// behaviour follows the API model and the User Guide of AWS Secrets Manager (2017-10-17). Where
// those say nothing, a comment states the choice made here.
//
// It uses the sandbox's clock for every date that it stores, compares or sends, including the Date
// header of each response. The caller supplies the functions to invoke. It never verifies a SigV4
// signature, a permission or a KMS key: every caller may do everything. It never throttles, never
// writes to disk and never holds its lock while a function runs.
package awssecrets
