package awslogs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/awslogs"
	"quilt-rotate/internal/sandbox/clock"
)

// functionLogs are the log lines of functions. There is one second between two lines.
type functionLogs map[string][]string

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func (l functionLogs) LogGroups() []awslambda.LogGroup {
	var groups []awslambda.LogGroup
	for _, name := range []string{"audit", "revoke", "rotate"} {
		if _, ok := l[name]; ok {
			groups = append(groups, awslambda.LogGroup{Name: "/aws/lambda/" + name, Function: name, Created: start})
		}
	}
	return groups
}

func (l functionLogs) Logs(function string) []awslambda.LogLine {
	var lines []awslambda.LogLine
	for i, text := range l[function] {
		lines = append(lines, awslambda.LogLine{Time: start.Add(time.Duration(i) * time.Second),
			Stream: fmt.Sprintf("stream-%d", i%2), Text: text})
	}
	return lines
}

type service struct {
	testing.TB
	*cloudwatchlogs.Client
	url string
}

func serve(t testing.TB, source functionLogs, scan int) *service {
	t.Helper()
	return serveOn(t, awslogs.New(awslogs.Options{Region: "eu-central-1", Account: "123456789012", Source: source,
		Scan: scan}))
}

func serveOn(t testing.TB, server *awslogs.Server) *service {
	t.Helper()
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return &service{t, cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(listener.URL), HTTPClient: listener.Client(),
		Retryer:     aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "unused", ""),
	}), listener.URL}
}

// messages returns the lines that a request finds, and the number of pages.
func (s *service) messages(in cloudwatchlogs.FilterLogEventsInput) (texts []string, pages int, err error) {
	in.LogGroupName = aws.String("/aws/lambda/rotate")
	for paginator := cloudwatchlogs.NewFilterLogEventsPaginator(s, &in); paginator.HasMorePages(); pages++ {
		page, err := paginator.NextPage(s.Context())
		if err != nil {
			return nil, 0, err
		}
		for _, event := range page.Events {
			texts = append(texts, aws.ToString(event.Message))
		}
	}
	return texts, pages, nil
}

func refused(t testing.TB, err error, code, message string) {
	t.Helper()
	var refusal smithy.APIError
	if !errors.As(err, &refusal) || refusal.ErrorCode() != code || !strings.Contains(refusal.ErrorMessage(), message) {
		t.Errorf("got the error %v, want %s with %q", err, code, message)
	}
}

func TestEventHasTheTextTimeAndStreamOfItsLine(t *testing.T) {
	s := serve(t, functionLogs{"rotate": {"START", `{"level":"ERROR","error":"é <&>"}`}}, 0)
	out, err := s.FilterLogEvents(t.Context(),
		&cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/rotate")})
	if err != nil || len(out.Events) != 2 || out.NextToken != nil {
		t.Fatalf("got %+v, %v", out, err)
	}
	first, second := out.Events[0], out.Events[1]
	if aws.ToString(second.Message) != `{"level":"ERROR","error":"é <&>"}` ||
		aws.ToInt64(second.Timestamp) != start.UnixMilli()+1000 || aws.ToString(second.LogStreamName) != "stream-1" {
		t.Errorf("got the event %+v", second)
	}
	if aws.ToString(first.EventId) == aws.ToString(second.EventId) {
		t.Errorf("two events have the same id %s", *first.EventId)
	}
}

func TestEventsAreFilteredByTimeAndStream(t *testing.T) {
	// The time range includes both ends.
	s := serve(t, functionLogs{"rotate": {"a", "b", "c", "d"}}, 0)
	at := func(second int64) *int64 { return aws.Int64(start.UnixMilli() + second*1000) }
	for name, test := range map[string]struct {
		in   cloudwatchlogs.FilterLogEventsInput
		want string
	}{
		"everything":       {cloudwatchlogs.FilterLogEventsInput{}, "abcd"},
		"from":             {cloudwatchlogs.FilterLogEventsInput{StartTime: at(2)}, "cd"},
		"until":            {cloudwatchlogs.FilterLogEventsInput{EndTime: at(1)}, "ab"},
		"from and until":   {cloudwatchlogs.FilterLogEventsInput{StartTime: at(1), EndTime: at(2)}, "bc"},
		"after everything": {cloudwatchlogs.FilterLogEventsInput{StartTime: at(9)}, ""},
		"one stream":       {cloudwatchlogs.FilterLogEventsInput{LogStreamNames: []string{"stream-1"}}, "bd"},
		"streams by name":  {cloudwatchlogs.FilterLogEventsInput{LogStreamNamePrefix: aws.String("stream-")}, "abcd"},
	} {
		if got, _, err := s.messages(test.in); err != nil || strings.Join(got, "") != test.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func TestPagesHaveEachEventOnce(t *testing.T) {
	// An empty page is not always the last page.
	lines := []string{"a", "b", "ERROR c", "d", "e", "f", "ERROR g"}
	for name, test := range map[string]struct {
		scan, limit, pages int
		pattern, want      string
	}{
		"one page":         {0, 100, 1, "", "a b ERROR c d e f ERROR g"},
		"pages of two":     {0, 2, 4, "", "a b ERROR c d e f ERROR g"},
		"with empty pages": {2, 100, 4, "ERROR", "ERROR c ERROR g"},
		"full pages only":  {0, 1, 2, "ERROR", "ERROR c ERROR g"},
	} {
		s := serve(t, functionLogs{"rotate": lines}, test.scan)
		got, pages, err := s.messages(cloudwatchlogs.FilterLogEventsInput{FilterPattern: aws.String(test.pattern),
			Limit: aws.Int32(int32(test.limit))})
		if err != nil || strings.Join(got, " ") != test.want || pages != test.pages {
			t.Errorf("%s: got %q on %d pages, %v, want %q on %d pages", name, got, pages, err, test.want, test.pages)
		}
	}
}

func TestInvalidRequestsAreRefused(t *testing.T) {
	s := serve(t, functionLogs{"rotate": {"a", "b"}, "revoke": {"a"}}, 0)
	first, err := s.FilterLogEvents(t.Context(),
		&cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/rotate"), Limit: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	rotate := aws.String("/aws/lambda/rotate")
	for name, test := range map[string]struct {
		in            cloudwatchlogs.FilterLogEventsInput
		code, message string
	}{
		"unknown group": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/absent")},
			"ResourceNotFoundException", "The specified log group does not exist."},
		"no group": {cloudwatchlogs.FilterLogEventsInput{}, "InvalidParameterException", "logGroupName"},
		"invalid name of a group": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("a b")},
			"InvalidParameterException", "logGroupName"},
		"limit": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate, Limit: aws.Int32(10001)},
			"InvalidParameterException", "limit"},
		"time": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate, StartTime: aws.Int64(-1)},
			"InvalidParameterException", "startTime"},
		"names and prefix of streams": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			LogStreamNames: []string{"a"}, LogStreamNamePrefix: aws.String("a")}, "InvalidParameterException",
			"logStreamNames"},
		"invalid token": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate, NextToken: aws.String("x")},
			"InvalidParameterException", "nextToken"},
		"token of another group": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/revoke"),
			Limit: aws.Int32(1), NextToken: first.NextToken}, "InvalidParameterException", "nextToken"},
		"token of another pattern": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			FilterPattern: aws.String("b"), NextToken: first.NextToken}, "InvalidParameterException", "nextToken"},
		"pattern": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			FilterPattern: aws.String("?a ?b")}, "InvalidParameterException", "Invalid filter pattern"},
		"unsupported parameter": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			StartFromHead: aws.Bool(false)}, "SerializationException", ""},
		"pattern too long": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			FilterPattern: aws.String(strings.Repeat("a", 1025))}, "InvalidParameterException", "filterPattern"},
		"token of another end time": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate, EndTime: aws.Int64(1),
			NextToken: first.NextToken}, "InvalidParameterException", "nextToken"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.FilterLogEvents(t.Context(), &test.in)
			refused(t, err, test.code, test.message)
		})
	}
	_, err = s.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("new")})
	refused(t, err, "UnknownOperationException", "")
}

func TestDescribeLogGroupsListsTheGroupsOfFunctions(t *testing.T) {
	s := serve(t, functionLogs{"rotate": {}, "revoke": {}, "audit": {}}, 0)
	list := func(in cloudwatchlogs.DescribeLogGroupsInput) string {
		t.Helper()
		var names []string
		for pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(s, &in); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range page.LogGroups {
				names = append(names, strings.TrimPrefix(aws.ToString(group.LogGroupName), "/aws/lambda/"))
				if arn := "arn:aws:logs:eu-central-1:123456789012:log-group:" +
					*group.LogGroupName; aws.ToString(group.LogGroupArn) != arn || aws.ToString(group.Arn) != arn+":*" {
					t.Errorf("got the group %+v", group)
				}
			}
		}
		return strings.Join(names, " ")
	}
	if got := list(cloudwatchlogs.DescribeLogGroupsInput{Limit: aws.Int32(1)}); got != "audit revoke rotate" {
		t.Errorf("got the groups %q", got)
	}
	if got := list(cloudwatchlogs.DescribeLogGroupsInput{
		LogGroupNamePrefix: aws.String("/aws/lambda/r")}); got != "revoke rotate" {
		t.Errorf("got the groups %q with the prefix", got)
	}
	_, err := s.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{Limit: aws.Int32(51)})
	refused(t, err, "InvalidParameterException", "limit")
}

func TestAWSCLI(t *testing.T) {
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("SKIPPED: CloudWatch Logs with the AWS CLI: aws is not installed")
	}
	s := serve(t, functionLogs{"rotate": {"START", `{"level":"ERROR","step":"testSecret"}`, "END"}}, 0)
	command := exec.CommandContext(t.Context(), cli, "logs", "filter-log-events", "--log-group-name",
		"/aws/lambda/rotate",
		"--filter-pattern", `{ $.level = "ERROR" }`, "--output", "json")
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYENV_ROOT=" + os.Getenv("PYENV_ROOT"),
		"AWS_ENDPOINT_URL=" + s.url, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=unused",
		"AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	}
	out, err := command.CombinedOutput()
	var answer struct{ Events []struct{ Message string } }
	if err != nil || json.Unmarshal(out, &answer) != nil || len(answer.Events) != 1 ||
		!strings.Contains(answer.Events[0].Message, "testSecret") {
		t.Errorf("got the output %s, %v", out, err)
	}
}

func TestLinesOlderThanTheRetentionAreNotShown(t *testing.T) {
	// A log group also shows its retention.
	var time clock.Clock
	time.Advance(start.AddDate(0, 0, 7).Sub(time.Now()))
	server := awslogs.New(awslogs.Options{Region: "eu-central-1", Account: "123456789012", Clock: &time,
		Source: functionLogs{"rotate": {"old", "older"}}})
	s := serveOn(t, server)
	group := func() types.LogGroup {
		out, err := s.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
		if err != nil {
			t.Fatal(err)
		}
		return out.LogGroups[0]
	}
	for days, want := range map[int32]int{0: 2, 8: 2, 5: 0} {
		server.SetRetention("/aws/lambda/rotate", int(days))
		got, _, err := s.messages(cloudwatchlogs.FilterLogEventsInput{})
		if err != nil || len(got) != want || aws.ToInt32(group().RetentionInDays) != days {
			t.Errorf("retention of %d days: got the lines %q, %v, and the group %+v", days, got, err, group())
		}
	}
}
