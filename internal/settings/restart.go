package settings

// stub until merged
type Service struct{ Cluster, Service string }

const (
	TagRevokeFunction = "quilt-rotate:revoke-function"
	TagRestart        = "quilt-rotate:restart"
)

func ParseRestart(text string) ([]Service, error) { return nil, nil }
