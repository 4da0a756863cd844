package keyrotation_test

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/bundle"
	"quilt-rotate/infra/keyrotation"
)

// An app with one stack that has the functions, and a stack of a team with a secret that they
// rotate.
func Example() {
	if err := bundle.Build("../quilt-rotate", "packages", nil); err != nil { // the checkout of quilt-rotate
		panic(err)
	}
	app := awscdk.NewApp(nil)
	platform := awscdk.NewStack(app, jsii.String("platform"), nil)
	rotation := keyrotation.NewKeyRotation(platform, jsii.String("KeyRotation"), &keyrotation.KeyRotationProps{
		RegistryURL: jsii.String("https://registry.example.com"),
		RotateZip:   jsii.String("packages/rotate.zip"),
		RevokeZip:   jsii.String("packages/revoke.zip"),
		AlarmEmail:  jsii.String("platform-team@example.com"),
	})

	team := awscdk.NewStack(app, jsii.String("team"), nil)
	secret := awssecretsmanager.NewSecret(team, jsii.String("Secret"), &awssecretsmanager.SecretProps{
		SecretName: jsii.String("prod/pipeline"),
		// `quilt-rotate bootstrap` stores the first key
		SecretStringValue: awscdk.SecretValue_UnsafePlainText(jsii.String(keyrotation.Empty)),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
	})
	rotation.Rotate(secret, &keyrotation.RotateOptions{
		Schedule: jsii.String("cron(0 4 ? * 1#1 *)"), // the first Sunday of a month, at 4 o'clock UTC
		Window:   awscdk.Duration_Hours(jsii.Number(2)),
	})
	app.Synth(nil)
	jsii.Close()
}
