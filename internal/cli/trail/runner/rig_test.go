package runner_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/athena"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/trail/runner"
	"quilt-rotate/internal/quilt/trail"
	"quilt-rotate/internal/sandbox/awsathena"
	"quilt-rotate/internal/sandbox/clock"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/wire"
)

const (
	ann = "ann@example.com" // an admin
	bob = "bob@example.com"
)

const (
	createQuery = `mutation apiKeyCreate($input: APIKeyCreateInput!){apiKeyCreate(input:$input){__typename ...on APIKeyCreated{apiKey{id name fingerprint status createdAt expiresAt} secret} ...on InvalidInput{errors{message}}}}`
	revokeQuery = `mutation apiKeyRevoke($id: ID, $secret: String){apiKeyRevoke(id:$id, secret:$secret){__typename ...on InvalidInput{errors{message}}}}`
)

// rig is a registry whose audit trail is queried through Athena, with the client of the SDK.
type rig struct {
	testing.TB
	*quiltregistry.Registry
	athena  *awsathena.Server
	hooks   wire.Hooks
	clock   *clock.Clock
	url     string           // of the registry
	service *httptest.Server // Athena
	runner  *runner.Runner
	states  []string
}

func start(t testing.TB) *rig {
	t.Helper()
	r := &rig{TB: t, clock: &clock.Clock{}}
	r.Registry = quiltregistry.New(quiltregistry.Options{Clock: r.clock})
	r.AddUser(quiltregistry.User{Name: "ann", Email: ann, Admin: true, Password: "secret of ann"})
	r.AddUser(quiltregistry.User{Name: "bob", Email: bob, Password: "secret of bob"})
	registry := httptest.NewServer(r.Registry)
	r.url = registry.URL
	r.athena = awsathena.New(awsathena.Options{Clock: r.clock, Trail: r.Registry})
	r.service = httptest.NewServer(r.hooks.Wrap("athena", awsathena.Operation, r.athena))
	t.Cleanup(func() {
		registry.Close()
		r.service.Close()
	})
	r.runner = &runner.Runner{
		Client: client(r.service, aws.NopRetryer{}), Database: awsathena.DefaultDatabase,
		Workgroup: awsathena.DefaultWorkgroup,
		Wait:      time.Microsecond, Progress: func(state string) { r.states = append(r.states, state) },
	}
	return r
}

// client returns a client that ignores the machine's AWS settings. In most tests it does not retry,
// so that the number of requests is that of the runner.
func client(service *httptest.Server, retryer aws.Retryer) awsclient.AthenaCalls {
	return awsclient.NewAthenaCalls(athena.New(athena.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(service.URL), HTTPClient: service.Client(), Retryer: retryer,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "unused", ""),
	}))
}

// send sends one request to the registry.
func (r *rig) send(method, path, bearer, agent, body string) string {
	r.Helper()
	request, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("User-Agent", agent)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		r.Fatal(err)
	}
	return string(answer)
}

// use sends a request that the registry records in its audit trail.
func (r *rig) use(secret string) {
	r.Helper()
	r.send("GET", "/api/auth/get_credentials", secret, "consumer/1", "")
}

func (r *rig) ask(bearer, query string, variables map[string]any) (answer struct {
	Data struct{ APIKeyCreate createdKey }
}) {
	r.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		r.Fatal(err)
	}
	if err := json.Unmarshal([]byte(r.send("POST", "/graphql", bearer, "quilt-rotate/1", string(body))),
		&answer); err != nil {
		r.Fatal(err)
	}
	return answer
}

// createdKey is the registry's answer with a new key.
type createdKey struct {
	APIKey struct{ ID string }
	Secret string
}

func (r *rig) create(bearer, name string) (id, secret string) {
	r.Helper()
	made := r.ask(bearer, createQuery,
		map[string]any{"input": map[string]any{"name": name, "expiresInDays": 90}}).Data.APIKeyCreate
	return made.APIKey.ID, made.Secret
}

// find runs the query for today, and fails the test if there is no answer.
func (r *rig) find(q trail.Query) *trail.Answer {
	r.Helper()
	answer, err := r.run(q)
	if err != nil {
		r.Fatal(err)
	}
	return answer
}

func (r *rig) run(q trail.Query) (*trail.Answer, error) {
	r.Helper()
	if q.Days == 0 {
		q.Days = 30
	}
	sql, err := q.SQL(r.clock.Now())
	if err != nil {
		r.Fatal(err)
	}
	return r.runner.Run(r.Context(), sql)
}

// values returns the columns of the answer's rows as text.
func values(a *trail.Answer, columns ...string) string {
	var rows []string
	for row := range a.Rows {
		var texts []string
		for _, c := range columns {
			texts = append(texts, a.Value(row, c))
		}
		rows = append(rows, strings.Join(texts, " "))
	}
	return strings.Join(rows, "\n")
}

func (r *rig) want(what, got, want string) {
	r.Helper()
	if got != want {
		r.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

// bothCases runs a test with field names as in the sample rows, and as in the documentation.
func bothCases(t *testing.T, test func(t *testing.T, r *rig)) {
	for _, camel := range []bool{false, true} {
		t.Run(fmt.Sprintf("camelCase=%t", camel), func(t *testing.T) {
			r := start(t)
			r.athena.SetSwitches(func(s *awsathena.Switches) { s.CamelCaseKeys = camel })
			test(t, r)
		})
	}
}
