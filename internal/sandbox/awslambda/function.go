package awslambda

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

// A Config is the configuration of a function.
type Config struct {
	Name string

	// Bootstrap is the path of the function's executable. Its folder is the task root.
	Bootstrap string
	// Handler runs the function in this process instead of a Bootstrap, for tests. The deadline,
	// the context and the errors are as in a process. The output is not captured, and Environment
	// is not used.
	Handler lambda.Handler

	Environment map[string]string
	Tags        map[string]string
	Timeout     time.Duration // default: 3 s, as in the service
	MemoryMB    int           // default: 128, as in the service; the function can read it, but it is not enforced

	// MaximumRetryAttempts is how often an asynchronous event is retried after a function error.
	// The default is 2, as in the service.
	MaximumRetryAttempts *int

	OnReport func(Report) // called for each invocation, before the caller gets the answer; may be nil
}

const (
	defaultTimeout  = 3 * time.Second
	maxTimeout      = 15 * time.Minute
	defaultMemoryMB = 128
	defaultRetries  = 2
	version         = "$LATEST"
)

var (
	namePattern     = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	variablePattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
)

// validated returns the Config with the service's defaults. It returns an error if the service
// would refuse the Config.
func (c Config) validated() (Config, error) {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.MemoryMB == 0 {
		c.MemoryMB = defaultMemoryMB
	}
	c.Environment, c.Tags = maps.Clone(c.Environment), maps.Clone(c.Tags)
	switch {
	case !namePattern.MatchString(c.Name):
		return c, invalidParameter("the function name %q must match %s", c.Name, namePattern)
	case (c.Bootstrap == "") == (c.Handler == nil):
		return c, invalidParameter("the function %s needs either a bootstrap or a handler", c.Name)
	case c.Timeout < 0 || c.Timeout > maxTimeout:
		return c, invalidParameter("the timeout %s of function %s must be between 0 and %s", c.Timeout, c.Name,
			maxTimeout)
	case c.MemoryMB < 128 || c.MemoryMB > 10240:
		return c, invalidParameter("the memory size %d MB of function %s must be between 128 and 10240", c.MemoryMB,
			c.Name)
	case c.MaximumRetryAttempts != nil && (*c.MaximumRetryAttempts < 0 || *c.MaximumRetryAttempts > 2):
		return c, invalidParameter("the maximum retry attempts %d of function %s must be between 0 and 2",
			*c.MaximumRetryAttempts, c.Name)
	}
	if err := checkTags(c.Tags); err != nil {
		return c, err
	}
	for _, key := range slices.Sorted(maps.Keys(c.Environment)) {
		if slices.Contains(reservedVariables, key) {
			return c, invalidParameter("Lambda was unable to configure your environment variables because the "+
				"environment variables you have provided contains reserved keys that are currently not supported for "+
				"modification. Reserved keys used in this request: %s", key)
		}
		if !variablePattern.MatchString(key) {
			return c, invalidParameter("the environment variable %q must match %s", key, variablePattern)
		}
	}
	return c, nil
}

func (c Config) retries() int {
	if c.MaximumRetryAttempts == nil {
		return defaultRetries
	}
	return *c.MaximumRetryAttempts
}

// A function has the data of a function that an update does not replace. Host.mu guards it.
type function struct {
	current  *deployment
	journal  *journal
	policy   []statement
	modified time.Time
	revision string
}

// A deployment is a version of a function's configuration and code, with its idle environments.
type deployment struct {
	arn        string
	config     Config
	executable executable
	journal    *journal

	idle    []*environment // guarded by Host.mu
	retired bool           // guarded by Host.mu: an environment is closed after its event
}

// Add creates a function, or updates the function with this name. The environments of the former
// deployment finish their event and are closed.
func (h *Host) Add(config Config) (functionARN string, err error) {
	config, err = config.validated()
	if err != nil {
		return "", fmt.Errorf("add function: %w", err)
	}
	d := &deployment{arn: h.arn(config.Name), config: config}
	if config.Handler == nil {
		if d.executable, err = findExecutable(config.Bootstrap); err != nil {
			return "", fmt.Errorf("add function %s: %w", config.Name, err)
		}
	}

	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return "", fmt.Errorf("add function %s: the host is closed", config.Name)
	}
	f := h.functions[config.Name]
	if f == nil {
		f = &function{journal: &journal{name: config.Name, console: h.console, clock: h.options.Clock,
			created: h.options.Clock.Now()}}
		h.functions[config.Name] = f
	}
	f.modified, f.revision = time.Now(), newID()
	idle := f.deploy(d)
	h.mu.Unlock()

	closeAll(idle)
	return d.arn, nil
}

// Exists reports whether a function exists. Secrets Manager checks this before it turns rotation
// on.
func (h *Host) Exists(nameOrARN string) bool {
	_, err := h.find(nameOrARN, "")
	return err == nil
}

// Remove deletes a function and its logs. Running environments finish their event and are closed.
func (h *Host) Remove(name string) {
	h.mu.Lock()
	f := h.functions[name]
	delete(h.functions, name)
	var idle []*environment
	if f != nil {
		idle = f.deploy(nil)
	}
	h.mu.Unlock()
	closeAll(idle)
}

// Recycle closes the idle environments of a function. The next invocation is a cold start.
func (h *Host) Recycle(name string) {
	h.mu.Lock()
	var idle []*environment
	if f := h.functions[name]; f != nil {
		d := f.current
		idle = f.deploy(&deployment{arn: d.arn, config: d.config, executable: d.executable})
	}
	h.mu.Unlock()
	closeAll(idle)
}

// Logs returns the log of a function: the output of its processes and the lines of the service, in
// order.
func (h *Host) Logs(name string) []LogLine {
	h.mu.Lock()
	f := h.functions[name]
	h.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.journal.all()
}

// A LogGroup is the CloudWatch Logs log group of a function.
type LogGroup struct {
	Name     string
	Function string
	Created  time.Time
}

// LogGroups returns the log groups of all functions, ordered by name. A log group exists as long as
// its function, as in a stack that declares both.
func (h *Host) LogGroups() []LogGroup {
	h.mu.Lock()
	defer h.mu.Unlock()
	groups := make([]LogGroup, 0, len(h.functions))
	for name, f := range h.functions {
		groups = append(groups, LogGroup{Name: logGroup(name), Function: name, Created: f.journal.created})
	}
	slices.SortFunc(groups, func(a, b LogGroup) int { return strings.Compare(a.Name, b.Name) })
	return groups
}

func logGroup(function string) string { return "/aws/lambda/" + function }

// deploy replaces the current deployment with next, and returns the environments to close. The
// caller must hold Host.mu, and must release it before it closes them.
func (f *function) deploy(next *deployment) (idle []*environment) {
	if former := f.current; former != nil {
		idle, former.idle, former.retired = former.idle, nil, true
	}
	if f.current = next; next != nil {
		next.journal = f.journal
	}
	return idle
}

// takeIdle returns the idle environment that was used last, or nil. If it is nil, the invocation
// needs a cold start.
func (h *Host) takeIdle(d *deployment) *environment {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(d.idle) > 0 {
		last := len(d.idle) - 1
		env := d.idle[last]
		d.idle = d.idle[:last]
		if env.running() {
			return env
		}
	}
	return nil
}

// release keeps an environment for the next event. If its deployment has been replaced, release
// closes it.
func (h *Host) release(d *deployment, env *environment) {
	h.mu.Lock()
	keep := env.running() && !d.retired && !h.closed
	if keep {
		d.idle = append(d.idle, env)
	}
	h.mu.Unlock()
	if !keep {
		env.close()
	}
}

func (h *Host) arn(name string) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", h.options.Region, h.options.Account, name)
}

// find returns a function by its name, partial ARN or ARN, as in the Invoke API.
func (h *Host) find(nameOrARN, qualifier string) (*function, error) {
	name := nameOrARN
	for _, prefix := range []string{h.arn(""), h.options.Account + ":function:", "function:"} {
		if rest, ok := strings.CutPrefix(nameOrARN, prefix); ok {
			name = rest
			break
		}
	}
	if plain, suffix, ok := strings.Cut(name, ":"); ok && !strings.HasPrefix(name, "arn:") {
		name, qualifier = plain, suffix
	}
	h.mu.Lock()
	f := h.functions[name]
	h.mu.Unlock()
	if f == nil || (qualifier != "" && qualifier != version) {
		return nil, h.notFound(name, qualifier)
	}
	return f, nil
}

func (h *Host) notFound(name, qualifier string) *Error {
	arn := name
	if !strings.HasPrefix(name, "arn:") {
		arn = h.arn(name)
	}
	if qualifier != "" {
		arn += ":" + qualifier
	}
	return &Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "Function not found: " + arn}
}

// deployed returns the function's current deployment, or nil if the function was removed.
func (h *Host) deployed(f *function) *deployment {
	h.mu.Lock()
	defer h.mu.Unlock()
	return f.current
}
