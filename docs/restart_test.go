package docs_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// restart is what the tests read of docs/events/restart-deployment.yaml.
type restart struct {
	Parameters map[string]struct {
		Default string `yaml:"Default"`
	} `yaml:"Parameters"`
	Resources map[string]struct {
		Properties struct {
			DefinitionString string   `yaml:"DefinitionString"`
			KubernetesGroups []string `yaml:"KubernetesGroups"`
		} `yaml:"Properties"`
	} `yaml:"Resources"`
}

// manifest is an object of the manifest in docs/consumers/kubernetes.md.
type manifest struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Rules    []struct{ APIGroups, Resources, ResourceNames, Verbs []string }
	RoleRef  struct{ Name string }
	Subjects []struct{ Kind, Name, Namespace string }
}

// job is what the state machine runs in the cluster.
type job struct {
	Namespace string
	Job       struct {
		Spec struct {
			Template struct {
				Spec struct {
					ServiceAccountName string
					Containers         []struct{ Command []string }
				}
			}
		}
	}
}

func readJob(t *testing.T, template restart) (j job) {
	t.Helper()
	text := strings.ReplaceAll(template.Resources["Restart"].Properties.DefinitionString, "${AWS::Partition}", "aws")
	for name, parameter := range template.Parameters {
		text = strings.ReplaceAll(text, "${"+name+"}", parameter.Default)
	}
	var machine struct {
		States map[string]struct{ Parameters json.RawMessage }
	}
	if err := json.Unmarshal([]byte(text), &machine); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := json.Unmarshal(machine.States["RunJob"].Parameters, &j); err != nil {
		t.Fatal(err)
	}
	return j
}

// readManifest returns the objects of the page whose name begins with quilt-restart.
func readManifest(t *testing.T) (objects []manifest) {
	t.Helper()
	for _, b := range page(t, "docs/consumers/kubernetes.md").Blocks {
		for _, text := range strings.Split(b.Text, "\n---\n") {
			var object any
			var m manifest
			if b.Language != "yaml" || strings.Contains(text, "AWSTemplateFormatVersion") {
				continue
			}
			if err := yaml.Unmarshal([]byte(text), &object); err != nil {
				t.Fatal(err)
			}
			converted, err := json.Marshal(object) // its names of fields match in any case
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(converted, &m); err == nil && strings.HasPrefix(m.Metadata.Name, "quilt-restart") {
				objects = append(objects, m)
			}
		}
	}
	return objects
}

// permits reports whether a role that is bound to the subject permits the request.
func permits(objects []manifest, kind, name, verb, group, resource, object string) bool {
	for _, binding := range objects {
		if len(binding.Subjects) != 1 || binding.Subjects[0].Kind != kind || binding.Subjects[0].Name != name {
			continue
		}
		for _, role := range objects {
			if role.Kind != "Role" || role.Metadata.Name != binding.RoleRef.Name {
				continue
			}
			for _, rule := range role.Rules {
				if slices.Contains(rule.APIGroups, group) && slices.Contains(rule.Resources, resource) &&
					slices.Contains(rule.Verbs, verb) &&
					(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, object)) {
					return true
				}
			}
		}
	}
	return false
}

func TestTheRestartOfADeployment(t *testing.T) {
	// The template and the manifest are applied to different systems, so their names must agree. The
	// command of the job must need no other permission than the manifest gives.
	text, err := os.ReadFile("events/restart-deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template restart
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	j, objects := readJob(t, template), readManifest(t)
	pod := j.Job.Spec.Template.Spec
	if len(objects) != 5 || len(pod.Containers) != 1 {
		t.Fatalf("found %d objects and %d containers", len(objects), len(pod.Containers))
	}
	for _, object := range objects {
		if object.Metadata.Namespace != j.Namespace {
			t.Errorf("the %s %s is in the namespace %s, and the job in %s", object.Kind, object.Metadata.Name,
				object.Metadata.Namespace, j.Namespace)
		}
	}
	if !slices.ContainsFunc(objects, func(m manifest) bool {
		return m.Kind == "ServiceAccount" && m.Metadata.Name == pod.ServiceAccountName
	}) {
		t.Errorf("the manifest has no service account %s", pod.ServiceAccountName)
	}
	groups := template.Resources["Access"].Properties.KubernetesGroups
	if len(groups) != 1 || !permits(objects, "Group", groups[0], "create", "batch", "jobs", "restart-1") {
		t.Errorf("the groups %v of the state machine may not create jobs", groups)
	}
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("SKIPPED: the command of the job that restarts a deployment: kubectl is not installed")
	}
	cluster := &cluster{permits: func(verb, object string) bool {
		return permits(objects, "ServiceAccount", pod.ServiceAccountName, verb, "apps", "deployments", object)
	}}
	output, err := cluster.run(t, j.Namespace, pod.Containers[0].Command)
	if err != nil || !strings.Contains(cluster.patch, "kubectl.kubernetes.io/restartedAt") {
		t.Errorf("the command: %v\n%s\npatch: %s\n%s", err, output, cluster.patch, cluster.log)
	}
}

// cluster is the API server of a cluster with the deployment pipeline.
type cluster struct {
	permits func(verb, object string) bool

	mu         sync.Mutex
	patch, log string
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log += r.Method + " " + r.URL.Path + "\n"
	answers := map[string]string{
		"/api": `{"kind":"APIVersions","versions":["v1"]}`,
		"/apis": `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps",` +
			`"versions":[{"groupVersion":"apps/v1","version":"v1"}],` +
			`"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}]}`,
		"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[]}`,
		"/apis/apps/v1": `{"kind":"APIResourceList","groupVersion":"apps/v1","resources":[{"name":"deployments",` +
			`"singularName":"deployment","namespaced":true,"kind":"Deployment","verbs":["get","patch"]}]}`,
	}
	w.Header().Set("Content-Type", "application/json")
	const deployments = "/apis/apps/v1/namespaces/pipeline/deployments/"
	name, one := strings.CutPrefix(r.URL.Path, deployments)
	verb := map[string]string{http.MethodGet: "get", http.MethodPatch: "patch"}[r.Method]
	switch {
	case one && !c.permits(verb, name):
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden"}`)
	case one:
		if verb == "patch" {
			body, _ := io.ReadAll(r.Body)
			c.patch = string(body)
		}
		_, _ = fmt.Fprintf(w, `{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":%q,`+
			`"namespace":"pipeline"},"spec":{"selector":{},"template":{"spec":{"containers":[]}}}}`, name)
	case answers[r.URL.Path] != "":
		_, _ = io.WriteString(w, answers[r.URL.Path])
	default:
		http.NotFound(w, r)
	}
}

// run runs a command of kubectl as in a pod of the namespace.
func (c *cluster) run(t *testing.T, namespace string, command []string) (output string, err error) {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	home := t.TempDir()
	file := filepath.Join(home, "config")
	configuration := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\n"+
		"clusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c, namespace: %s}}]\n",
		server.URL, namespace)
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), command[0], command[1:]...)
	run.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "KUBECONFIG=" + file}
	text, err := run.CombinedOutput()
	return string(text), err
}
