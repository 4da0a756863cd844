package awslogs

import (
	"regexp"
	"strings"

	"quilt-rotate/internal/sandbox/awsjson"
	"quilt-rotate/internal/sandbox/awslambda"
)

const maxGroups = 50

type describeLogGroupsInput struct {
	LogGroupNamePrefix string `json:"logGroupNamePrefix"`
	Limit              *int   `json:"limit"`
	NextToken          string `json:"nextToken"`
}

type describeLogGroupsOutput struct {
	LogGroups []logGroup `json:"logGroups"`
	NextToken string     `json:"nextToken,omitempty"`
}

type logGroup struct {
	LogGroupName      string `json:"logGroupName"`
	CreationTime      int64  `json:"creationTime"`
	MetricFilterCount int    `json:"metricFilterCount"`
	ARN               string `json:"arn"`
	LogGroupARN       string `json:"logGroupArn"`
	LogGroupClass     string `json:"logGroupClass"`
	RetentionInDays   int    `json:"retentionInDays,omitempty"`
}

func (s *Server) describeLogGroups(in describeLogGroupsInput) (describeLogGroupsOutput, error) {
	size, err := limit(in.Limit, maxGroups)
	if err != nil {
		return describeLogGroupsOutput{}, err
	}
	var found []awslambda.LogGroup
	for _, group := range s.options.Source.LogGroups() {
		if strings.HasPrefix(group.Name, in.LogGroupNamePrefix) {
			found = append(found, group)
		}
	}
	from, err := in.position(len(found))
	if err != nil {
		return describeLogGroupsOutput{}, err
	}
	to := min(from+size, len(found))
	out := describeLogGroupsOutput{LogGroups: []logGroup{}}
	for _, group := range found[from:to] {
		out.LogGroups = append(out.LogGroups, s.describe(group))
	}
	if to < len(found) {
		out.NextToken = token(in.LogGroupNamePrefix, to)
	}
	return out, nil
}

func (in describeLogGroupsInput) position(end int) (int, error) {
	return position(in.NextToken, in.LogGroupNamePrefix, end)
}

func (s *Server) describe(group awslambda.LogGroup) logGroup {
	arn := "arn:aws:logs:" + s.options.Region + ":" + s.options.Account + ":log-group:" + group.Name
	return logGroup{
		LogGroupName: group.Name, CreationTime: group.Created.UnixMilli(), ARN: arn + ":*", LogGroupARN: arn,
		LogGroupClass: "STANDARD", RetentionInDays: s.retention(group.Name),
	}
}

var groupName = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]+$`)

func (s *Server) find(name string) (awslambda.LogGroup, error) {
	if !groupName.MatchString(name) || len(name) > 512 {
		return awslambda.LogGroup{}, invalidParameter("1 validation error detected: Value at 'logGroupName' failed " +
			"to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+")
	}
	for _, group := range s.options.Source.LogGroups() {
		if group.Name == name {
			return group, nil
		}
	}
	return awslambda.LogGroup{}, awsjson.Faultf("ResourceNotFoundException", "The specified log group does not exist.")
}
