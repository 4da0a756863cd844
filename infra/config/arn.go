package config

import (
	"regexp"
	"strings"
)

// arn is an Amazon Resource Name: arn:partition:service:region:account:resource.
type arn struct{ partition, service, region, account, resource string }

func parseARN(text string) (arn, bool) {
	p := strings.SplitN(text, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" || strings.ContainsAny(text, " \t\n") {
		return arn{}, false
	}
	return arn{p[1], p[2], p[3], p[4], p[5]}, true
}

// The supported partitions. Other partitions have other names of services and hosts, and were not
// tested.
const (
	awsPartition = "aws"
	govPartition = "aws-us-gov"
)

// PartitionOf returns the partition of a region (AWS fault isolation boundaries, "Partitions").
func PartitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "us-gov-"):
		return govPartition
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.Contains(region, "-iso"):
		return "aws-iso"
	case strings.HasPrefix(region, "eusc-"):
		return "aws-eusc"
	}
	return awsPartition
}

// requirePartition refuses an ARN in another partition than the region, because no policy gives
// access across partitions.
func (g *gathering) requirePartition(path string, a arn, region string) {
	want := PartitionOf(region)
	g.require(path, a.partition == "" || region == "" || a.partition == want, "is in the partition %s, but %s is in "+
		"%s: use an ARN of that partition", a.partition, region, want)
}

// secretResource matches the end of a secret's ARN. Secrets Manager adds a hyphen and six
// characters to the name (Secrets Manager user guide, "Secret name").
var secretResource = regexp.MustCompile(`^secret:([A-Za-z0-9/_+=.@-]+)-[A-Za-z0-9]{6}$`)

func secretNameOf(text string) string {
	a, _ := parseARN(text)
	if m := secretResource.FindStringSubmatch(a.resource); m != nil {
		return m[1]
	}
	return ""
}
