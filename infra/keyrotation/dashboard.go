package keyrotation

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/logicalid"
)

// looksBack is the time range of the dashboard, five weeks, so that it includes monthly rotations.
// The default is three hours (CloudWatch API reference, "Dashboard body structure and syntax").
const looksBack = "-P5W"

const recentErrors = `filter level = "ERROR" | fields @timestamp, secret, step, errorType, error | sort @timestamp desc | limit 20`

// newDashboard creates the dashboard, in the order of urgency: alarms, the state of each secret,
// the metrics of the functions, recent errors. The state of each secret comes from the logs,
// because separate metrics for each secret would cost money.
func (k *keyRotation) newDashboard() {
	k.dashboard = awscloudwatch.NewDashboard(k, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName: k.DashboardName(), Start: jsii.String(looksBack),
		PeriodOverride: awscloudwatch.PeriodOverride_INHERIT,
	})
	// cfn-lint 1.51 does not know that a dashboard can have tags.
	logicalid.Pin[awscloudwatch.CfnDashboard](k.dashboard).AddMetadata(jsii.String("cfn-lint"),
		object{"config": object{"ignore_checks": list{"E3002"}}})
	k.dashboard.AddWidgets(awscloudwatch.NewTextWidget(&awscloudwatch.TextWidgetProps{Width: jsii.Number(24),
		Height: jsii.Number(3), Markdown: jsii.String(
			"# Keys of " + *k.props.RegistryURL +
				"\nIf an alarm is red, its description names its page in `docs/runbook`. `quilt-rotate status` shows every secret; `quilt-rotate doctor` finds the cause. " +
				"After a failed rotation the current key still works."),
	}))
	k.dashboard.AddWidgets(alarmWidget("Alarms", 6, k.alarms.notify...))
	k.dashboard.AddWidgets(logWidget(24, 7, "Each secret", k.revoke,
		"filter ispresent(SweepSucceeded) | stats latest(CurrentKeyDaysLeft) as daysToExpiry, "+
			"latest(CurrentKeyAge)/86400 as daysOld, latest(KeysHeld) as held, "+
			"latest(OldestSupersededAge)/3600 as oldestSupersededHours, latest(FreeLabels) as freeLabels, "+
			"latest(SweepSucceeded) as sweptWell, max(@timestamp) as lastSweep by secret | sort daysToExpiry asc | "+
			"limit 100"))
	k.dashboard.AddWidgets(
		logWidget(12, 6, "Last rotation of each secret", k.rotate,
			`filter step = "finishSecret" and outcome = "ok" | stats max(@timestamp) as lastRotation by secret | sort lastRotation asc | limit 100`),
		logWidget(12, 6, "Keys held: who still uses them", k.revoke,
			`filter action = "hold" | stats latest(fingerprint) as fingerprint, latest(owner) as owner, latest(lastUsedAt) as lastUsed by secret, version | limit 100`))
	k.dashboard.AddWidgets(
		k.graph("Steps: duration (ms)", "rotate", "p95", k.steps(StepDuration)...),
		k.graph("Steps: succeeded", "rotate", sum, k.steps(StepSucceeded)...),
		k.graph("Steps: failed; rotations: abandoned", "rotate", sum,
			Metric{Name: StepFailed}, Metric{Name: SelfHealed}))
	k.dashboard.AddWidgets(
		k.graph("Days to expiry of the key that expires first", "revoke", least, Metric{Name: CurrentKeyDaysLeft}),
		k.graph("Sweeps", "revoke", sum, Metric{Name: SweepSucceeded}, Metric{Name: SweepFailed}),
		k.graph("Keys revoked, held, orphaned", "revoke", sum, Metric{Name: KeysRevoked}, Metric{Name: KeysHeld},
			Metric{Name: Orphans}))
	k.dashboard.AddWidgets(logWidget(12, 7, "Recent errors of rotations", k.rotate, recentErrors),
		logWidget(12, 7, "Recent errors of sweeps", k.revoke, recentErrors))
}

func alarmWidget(title string, height float64, alarms ...interfacesawscloudwatch.IAlarmRef) awscloudwatch.IWidget {
	return awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{
		Title: jsii.String(title), Width: jsii.Number(24), Height: jsii.Number(height), Alarms: &alarms,
	})
}

func logWidget(width, height float64, title string, f function, query string) awscloudwatch.IWidget {
	return awscloudwatch.NewLogQueryWidget(&awscloudwatch.LogQueryWidgetProps{
		Title: jsii.String(title), Width: jsii.Number(width), Height: jsii.Number(height),
		LogGroupNames: &[]*string{f.logs.LogGroupName()}, QueryString: jsii.String(query),
	})
}

func (k *keyRotation) graph(title, function, statistic string, metrics ...Metric) awscloudwatch.IWidget {
	var lines []awscloudwatch.IMetric
	for _, m := range metrics {
		m.Of, m.Statistic = function, statistic
		lines = append(lines, k.metric(m, time.Hour))
	}
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{Title: jsii.String(title),
		Width: jsii.Number(8), Height: jsii.Number(6), Left: &lines})
}

// steps returns a metric for each of the four steps.
func (k *keyRotation) steps(name string) (all []Metric) {
	for _, of := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		all = append(all, Metric{Name: name, Only: Dimension{step, of}})
	}
	return all
}
