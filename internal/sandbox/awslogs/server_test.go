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

// A journal is the logs of some functions, one line a second.
type journal map[string][]string

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func (j journal) LogGroups() []awslambda.LogGroup {
	var groups []awslambda.LogGroup
	for _, name := range []string{"audit", "revoke", "rotate"} {
		if _, ok := j[name]; ok {
			groups = append(groups, awslambda.LogGroup{Name: "/aws/lambda/" + name, Function: name, Created: start})
		}
	}
	return groups
}

func (j journal) Logs(function string) []awslambda.LogLine {
	var lines []awslambda.LogLine
	for i, text := range j[function] {
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

func serve(t testing.TB, source journal, scan int) *service {
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

// messages are the lines that a request finds, page by page.
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

func refused(t testing.TB, err error, code, says string) {
	t.Helper()
	var refusal smithy.APIError
	if !errors.As(err, &refusal) || refusal.ErrorCode() != code || !strings.Contains(refusal.ErrorMessage(), says) {
		t.Errorf("got %v, want %s that says %q", err, code, says)
	}
}

func TestEventsTellWhatALineIs(t *testing.T) {
	// Protects what a caller reads of an event: its text to the byte, its time in milliseconds, its
	// stream, an id of its own.
	s := serve(t, journal{"rotate": {"START", `{"level":"ERROR","error":"é <&>"}`}}, 0)
	out, err := s.FilterLogEvents(t.Context(),
		&cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/rotate")})
	if err != nil || len(out.Events) != 2 || out.NextToken != nil {
		t.Fatalf("got %+v, %v", out, err)
	}
	first, second := out.Events[0], out.Events[1]
	if aws.ToString(second.Message) != `{"level":"ERROR","error":"é <&>"}` ||
		aws.ToInt64(second.Timestamp) != start.UnixMilli()+1000 || aws.ToString(second.LogStreamName) != "stream-1" {
		t.Errorf("the event is %+v", second)
	}
	if aws.ToString(first.EventId) == aws.ToString(second.EventId) {
		t.Errorf("two events have the id %s", *first.EventId)
	}
}

func TestTimeAndStreamLimitWhatIsFound(t *testing.T) {
	// Protects a caller that asks for one run of a function: both ends of the time are part of it.
	s := serve(t, journal{"rotate": {"a", "b", "c", "d"}}, 0)
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
			t.Errorf("%s: found %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func TestPagesHaveEveryEventOnce(t *testing.T) {
	// Protects a caller with many lines: no page loses or repeats one, and an empty page is not the
	// end.
	lines := []string{"a", "b", "ERROR c", "d", "e", "f", "ERROR g"}
	for name, test := range map[string]struct {
		scan, limit, pages int
		pattern, want      string
	}{
		"one page":          {0, 100, 1, "", "a b ERROR c d e f ERROR g"},
		"pages of two":      {0, 2, 4, "", "a b ERROR c d e f ERROR g"},
		"with empty pages":  {2, 100, 4, "ERROR", "ERROR c ERROR g"},
		"full, then no end": {0, 1, 2, "ERROR", "ERROR c ERROR g"},
	} {
		s := serve(t, journal{"rotate": lines}, test.scan)
		got, pages, err := s.messages(cloudwatchlogs.FilterLogEventsInput{FilterPattern: aws.String(test.pattern),
			Limit: aws.Int32(int32(test.limit))})
		if err != nil || strings.Join(got, " ") != test.want || pages != test.pages {
			t.Errorf("%s: %q on %d pages, %v; want %q on %d", name, got, pages, err, test.want, test.pages)
		}
	}
}

func TestRefusals(t *testing.T) {
	// Protects callers from an answer to another question: what cannot be answered is refused in
	// the service's words.
	s := serve(t, journal{"rotate": {"a", "b"}, "revoke": {"a"}}, 0)
	first, err := s.FilterLogEvents(t.Context(),
		&cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/rotate"), Limit: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	rotate := aws.String("/aws/lambda/rotate")
	for name, test := range map[string]struct {
		in         cloudwatchlogs.FilterLogEventsInput
		code, says string
	}{
		"unknown group": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/absent")},
			"ResourceNotFoundException", "The specified log group does not exist."},
		"no group": {cloudwatchlogs.FilterLogEventsInput{}, "InvalidParameterException", "logGroupName"},
		"no name of a group": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("a b")},
			"InvalidParameterException", "logGroupName"},
		"limit": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate, Limit: aws.Int32(10001)},
			"InvalidParameterException", "limit"},
		"time": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate, StartTime: aws.Int64(-1)},
			"InvalidParameterException", "startTime"},
		"streams twice": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			LogStreamNames: []string{"a"}, LogStreamNamePrefix: aws.String("a")}, "InvalidParameterException",
			"logStreamNames"},
		"no token": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate, NextToken: aws.String("x")},
			"InvalidParameterException", "nextToken"},
		"another group's": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/revoke"),
			Limit: aws.Int32(1), NextToken: first.NextToken}, "InvalidParameterException", "nextToken"},
		"another pattern's": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			FilterPattern: aws.String("b"), NextToken: first.NextToken}, "InvalidParameterException", "nextToken"},
		"pattern": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			FilterPattern: aws.String("?a ?b")}, "InvalidParameterException", "Invalid filter pattern"},
		"what it does not do": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			StartFromHead: aws.Bool(false)}, "SerializationException", ""},
		"a pattern too long": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate,
			FilterPattern: aws.String(strings.Repeat("a", 1025))}, "InvalidParameterException", "filterPattern"},
		"token of a later end": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: rotate, EndTime: aws.Int64(1),
			NextToken: first.NextToken}, "InvalidParameterException", "nextToken"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.FilterLogEvents(t.Context(), &test.in)
			refused(t, err, test.code, test.says)
		})
	}
	_, err = s.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("new")})
	refused(t, err, "UnknownOperationException", "")
}

func TestGroupsAreThoseOfTheFunctions(t *testing.T) {
	// Protects the check that a function has a log group: by prefix, page by page.
	s := serve(t, journal{"rotate": {}, "revoke": {}, "audit": {}}, 0)
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
					t.Errorf("the group is %+v", group)
				}
			}
		}
		return strings.Join(names, " ")
	}
	if got := list(cloudwatchlogs.DescribeLogGroupsInput{Limit: aws.Int32(1)}); got != "audit revoke rotate" {
		t.Errorf("the groups are %q", got)
	}
	if got := list(cloudwatchlogs.DescribeLogGroupsInput{
		LogGroupNamePrefix: aws.String("/aws/lambda/r")}); got != "revoke rotate" {
		t.Errorf("with the prefix they are %q", got)
	}
	_, err := s.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{Limit: aws.Int32(51)})
	refused(t, err, "InvalidParameterException", "limit")
}

func TestAWSCLI(t *testing.T) {
	// Protects people who read a log by hand.
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("SKIPPED: CloudWatch Logs with the AWS CLI: aws is not installed")
	}
	s := serve(t, journal{"rotate": {"START", `{"level":"ERROR","step":"testSecret"}`, "END"}}, 0)
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
		t.Errorf("%v: %s", err, out)
	}
}

func TestLinesOlderThanTheRetentionAreNotShown(t *testing.T) {
	// Protects callers that must say how far back a log goes: the group names its retention, and
	// what is older does not come.
	var time clock.Clock
	time.Advance(start.AddDate(0, 0, 7).Sub(time.Now()))
	server := awslogs.New(awslogs.Options{Region: "eu-central-1", Account: "123456789012", Clock: &time,
		Source: journal{"rotate": {"old", "older"}}})
	s := serveOn(t, server)
	group := func() types.LogGroup {
		out, err := s.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
		if err != nil {
			t.Fatal(err)
		}
		return out.LogGroups[0]
	}
	for days, want := range map[int32]int{0: 2, 8: 2, 5: 0} {
		server.Retain("/aws/lambda/rotate", int(days))
		got, _, err := s.messages(cloudwatchlogs.FilterLogEventsInput{})
		if err != nil || len(got) != want || aws.ToInt32(group().RetentionInDays) != days {
			t.Errorf("kept for %d days: %q, %v, %+v", days, got, err, group())
		}
	}
}
