package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/uuid"

	"quilt-rotate/internal/awsconfig"
	"quilt-rotate/internal/settings"
)

// scheduledTime is the text that EventBridge Scheduler replaces by the time when it starts a run.
const scheduledTime = "<aws.scheduler.scheduled-time>"

// readSchedule reads the schedule of the sweeps, which a tag of the rotate function names.
func (l *life) readSchedule(ctx context.Context) error {
	tags, err := l.cloud.functions.ListTags(ctx, &lambda.ListTagsInput{Resource: &l.rotate.arn})
	if err != nil {
		return err
	}
	var schedule struct {
		Target struct {
			Input       string
			RetryPolicy *struct{ MaximumRetryAttempts, MaximumEventAgeInSeconds int }
		}
	}
	request := awsconfig.Request{Service: "scheduler", Method: http.MethodGet,
		Path: "/schedules/" + tags.Tags[settings.TagSchedule] + "?groupName=default"}
	if err := awsconfig.Send(ctx, l.cloud.config, request, &schedule); err != nil {
		return fmt.Errorf("ask for the schedule of the sweeps: %w", err)
	}
	l.input = schedule.Target.Input
	l.seen.Retry = &retryPolicy{}
	if p := schedule.Target.RetryPolicy; p != nil {
		*l.seen.Retry = retryPolicy{p.MaximumRetryAttempts, p.MaximumEventAgeInSeconds}
	}
	return nil
}

// runSweeps starts the state machine with the input of its schedule, and waits for its end.
func (l *life) runSweeps(ctx context.Context) error {
	input := strings.ReplaceAll(l.input, scheduledTime, time.Now().UTC().Format(time.RFC3339))
	started, err := l.cloud.machines.StartExecution(ctx,
		&sfn.StartExecutionInput{StateMachineArn: &l.machine, Input: &input, Name: aws.String(uuid.NewString())})
	if err != nil {
		return err
	}
	return await(ctx, stackTime, func() (bool, error) {
		run, err := l.cloud.machines.DescribeExecution(ctx,
			&sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn})
		if err != nil || run.Status == types.ExecutionStatusRunning {
			return false, err
		}
		if run.Status != types.ExecutionStatusSucceeded {
			return true, fmt.Errorf("the run of sweeps ended as %s: %s", run.Status, aws.ToString(run.Cause))
		}
		return true, nil
	})
}

// readEvents reads the events that the rule wrote. If there is no event yet, it waits for one.
func (l *life) readEvents(ctx context.Context) error {
	began := time.Now()
	err := await(ctx, l.wait, func() (bool, error) {
		l.seen.Events, l.seen.Service = nil, nil
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(l.cloud.logs, &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: aws.String(l.logGroup()), StartTime: aws.Int64(l.began.UnixMilli())})
		for pages.HasMorePages() {
			got, err := pages.NextPage(ctx)
			if err != nil {
				return false, err
			}
			for _, e := range got.Events {
				l.addEvent(aws.ToString(e.Message))
			}
		}
		return len(l.seen.Events) > 0, nil
	})
	l.seen.Watched = time.Since(began)
	if len(l.seen.Events) == 0 && ctx.Err() == nil {
		return errSkipped{fmt.Sprintf("no event came within %s", l.seen.Watched.Round(time.Second))}
	}
	versions, listErr := l.cloud.secrets.ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{
		SecretId: aws.String(l.service()), IncludeDeprecated: aws.Bool(true)})
	if listErr != nil {
		return listErr
	}
	var known []string
	for _, v := range versions.Versions {
		known = append(known, aws.ToString(v.VersionId))
	}
	for i := range l.seen.Events {
		l.seen.Events[i].Expected = slices.Contains(known, l.seen.Events[i].Version)
	}
	for i := range l.seen.Service {
		l.seen.Service[i].HasToken = slices.ContainsFunc(known,
			func(id string) bool { return strings.HasSuffix(l.seen.Service[i].RequestID, id) })
	}
	return err
}

// addEvent adds an event of the service's secret. It ignores the events of other secrets.
func (l *life) addEvent(text string) {
	var e struct {
		Source     string   `json:"source"`
		DetailType string   `json:"detail-type"`
		Resources  []string `json:"resources"`
		Detail     struct {
			Name         string `json:"name"`
			LabelUpdated string `json:"labelUpdated"`
			VersionID    string `json:"versionId"`
			EventName    string `json:"eventName"`
			RequestID    string `json:"requestID"`
			Additional   struct {
				SecretID string `json:"SecretId"`
			} `json:"additionalEventData"`
		} `json:"detail"`
	}
	if json.Unmarshal([]byte(text), &e) != nil || !strings.Contains(text, l.service()) {
		return
	}
	switch {
	case e.DetailType == "Secret Label Updated":
		resource := ""
		if slices.Contains(e.Resources, l.arn) {
			resource = l.arn
		}
		l.seen.Events = append(l.seen.Events, labelEvent{Source: e.Source, Name: e.Detail.Name,
			Label:   e.Detail.LabelUpdated,
			Version: e.Detail.VersionID, Resource: resource})
	case e.Detail.Additional.SecretID == l.arn && strings.HasPrefix(e.Detail.EventName, "Rotation"):
		l.seen.Service = append(l.seen.Service, serviceEvent{Name: e.Detail.EventName, RequestID: e.Detail.RequestID})
	}
}
