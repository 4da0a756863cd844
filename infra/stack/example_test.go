package stack_test

import (
	"archive/zip"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/infra/keyrotation"
	"quilt-rotate/internal/settings"
)

// In a CDK app of your own: the functions once for each registry, and a construct for each key. bundle.Build makes the packages; two empty ones stand in here.
func Example_appOfYourOwn() {
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)

	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(filepath.Join(folder, "cdk.out"))})
	stack := awscdk.NewStack(app, jsii.String("my-service"), &awscdk.StackProps{
		Env: &awscdk.Environment{Account: jsii.String("123456789012"), Region: jsii.String("us-east-1")},
	})
	rotation := keyrotation.NewKeyRotation(stack, jsii.String("KeyRotation"), &keyrotation.KeyRotationProps{
		RegistryURL: jsii.String("https://registry.example.com"),
		RotateZip:   jsii.String(emptyPackage(folder, "rotate.zip")),
		RevokeZip:   jsii.String(emptyPackage(folder, "revoke.zip")),
	})
	key := keyrotation.NewRotatedKey(stack, jsii.String("PipelineKey"), &keyrotation.RotatedKeyProps{
		Rotation: rotation,
		Key:      config.Key{Name: "prod/pipeline", Schedule: "rate(30 days)", ExpiresInDays: settings.DefaultExpiresInDays},
	})
	awscdk.NewCfnOutput(stack, jsii.String("Secret"), &awscdk.CfnOutputProps{Value: key.SecretArn()})

	template := assertions.Template_FromStack(stack, nil)
	for _, kind := range []string{"AWS::SecretsManager::Secret", "AWS::SecretsManager::RotationSchedule", "AWS::StepFunctions::StateMachine", "AWS::Lambda::Function"} {
		fmt.Println(len(*template.FindResources(jsii.String(kind), nil)), kind)
	}
	// Output:
	// 1 AWS::SecretsManager::Secret
	// 1 AWS::SecretsManager::RotationSchedule
	// 1 AWS::StepFunctions::StateMachine
	// 2 AWS::Lambda::Function
}

func emptyPackage(folder, name string) string {
	path := filepath.Join(folder, name)
	file, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	if err := zip.NewWriter(file).Close(); err != nil {
		panic(err)
	}
	if err := file.Close(); err != nil {
		panic(err)
	}
	return path
}
