package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"
)

// newDashboard makes the page that a tired person reads from top to bottom: what is wrong, how each secret stands, what the functions do, what they said last.
// What is told by secret comes from the logs: a metric for each secret would be billed for each.
func (k *keyRotation) newDashboard() {
	k.dashboard = awscloudwatch.NewCfnDashboard(k, jsii.String("Dashboard"), &awscloudwatch.CfnDashboardProps{
		DashboardName: jsii.String(k.name() + "-keys"), DashboardBody: k.dashboardBody(),
	})
	// cfn-lint 1.51 does not know that a dashboard can have tags.
	k.dashboard.AddMetadata(jsii.String("cfn-lint"), object{"config": object{"ignore_checks": list{"E3002"}}})
}

func (k *keyRotation) dashboardBody() *string {
	return awscdk.Stack_Of(k).ToJsonString(object{"start": looksBack, "periodOverride": "inherit", "widgets": list{
		k.textWidget(), k.alarmWidget(),
		k.logWidget(0, 9, 24, 7, "Each secret", k.revoke,
			"filter ispresent(SweepSucceeded) | stats latest(CurrentKeyDaysLeft) as daysToExpiry, latest(CurrentKeyAge)/86400 as daysOld, latest(KeysHeld) as held, "+
				"latest(OldestSupersededAge)/3600 as oldestSupersededHours, latest(FreeLabels) as freeLabels, latest(SweepSucceeded) as sweptWell, max(@timestamp) as lastSweep by secret | sort daysToExpiry asc"),
		k.logWidget(0, 16, 12, 6, "Last rotation of each secret", k.rotate,
			`filter step = "finishSecret" and outcome = "ok" | stats max(@timestamp) as lastRotation by secret | sort lastRotation asc`),
		k.logWidget(12, 16, 12, 6, "Keys held: who is late", k.revoke,
			`filter action = "hold" | stats latest(fingerprint) as fingerprint, latest(owner) as owner, latest(lastUsedAt) as lastUsed by secret, version`),
		k.metricWidget(0, 22, "Steps: duration (ms)", "p95", k.steps(StepDuration)),
		k.metricWidget(8, 22, "Steps: succeeded", sum, k.steps(StepSucceeded)),
		k.metricWidget(16, 22, "Rotation: failed, healed", sum, k.lines(k.rotate, StepFailed, SelfHealed)),
		k.metricWidget(0, 28, "Days to expiry of the key that expires first", least, k.lines(k.revoke, CurrentKeyDaysLeft)),
		k.metricWidget(8, 28, "Sweeps", sum, k.lines(k.revoke, SweepSucceeded, SweepFailed)),
		k.metricWidget(16, 28, "Keys revoked, held, orphaned", sum, k.lines(k.revoke, KeysRevoked, KeysHeld, Orphans)),
		k.logWidget(0, 34, 12, 7, "Recent errors of rotations", k.rotate, recentErrors),
		k.logWidget(12, 34, 12, 7, "Recent errors of sweeps", k.revoke, recentErrors),
	}}, nil)
}

// looksBack is for how long the dashboard shows: a rotation a month is in it. Without it CloudWatch shows three hours (CloudWatch API reference, "Dashboard body structure and
// syntax"). Each metric keeps its own period.
const looksBack = "-P5W"

const recentErrors = `filter level = "ERROR" | fields @timestamp, secret, step, errorType, error | sort @timestamp desc | limit 20`

func widget(kind string, x, y, width, height float64, properties object) object {
	return object{"type": kind, "x": x, "y": y, "width": width, "height": height, "properties": properties}
}

func (k *keyRotation) textWidget() object {
	return widget("text", 0, 0, 24, 3, object{"markdown": "# Keys of " + *k.props.RegistryURL + "\n" +
		"Red below? The alarm's description names its page in `docs/runbook`. `quilt-rotate status` shows every secret; `quilt-rotate doctor` finds what is wrong. A failed rotation leaves the current key working."})
}

func (k *keyRotation) alarmWidget() object {
	return widget("alarm", 0, 3, 24, 6, object{"title": "What a person must act on", "alarms": k.alarms.arns})
}

func (k *keyRotation) logWidget(x, y, width, height float64, title string, f function, query string) object {
	return widget("log", x, y, width, height, object{
		"title": title, "region": k.region, "view": "table", "query": "SOURCE '" + *f.logs.Ref() + "' | " + query,
	})
}

func (k *keyRotation) metricWidget(x, y float64, title, statistic string, metrics list) object {
	return widget("metric", x, y, 8, 6, object{
		"title": title, "region": k.region, "view": "timeSeries", "stat": statistic, "period": 3600.0, "metrics": metrics,
	})
}

func (k *keyRotation) lines(f function, names ...string) list {
	var all list
	for _, name := range names {
		all = append(all, list{Namespace, name, FunctionDimension, *f.Ref()})
	}
	return all
}

// steps is the metric of each of the four steps.
func (k *keyRotation) steps(name string) list {
	var all list
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		all = append(all, list{Namespace, name, FunctionDimension, *k.rotate.Ref(), "Step", step})
	}
	return all
}
