package awslambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
)

// The limits of an account's code in the API Reference, in bytes.
const (
	totalCodeSize    = 80530636800
	codeSizeUnzipped = 262144000
	codeSizeZipped   = 52428800
)

// operations are the operations of the service's API that the Host serves.
var operations = []struct {
	pattern string
	name    string
	serve   func(*Host, http.ResponseWriter, *http.Request) error
}{
	{"POST /2015-03-31/functions/{function}/invocations", "Invoke", (*Host).serveInvoke},
	{"GET /2015-03-31/functions/{function}", "GetFunction", (*Host).serveFunction},
	{"GET /2015-03-31/functions/{function}/configuration", "GetFunctionConfiguration", (*Host).serveConfiguration},
	{"GET /2015-03-31/functions/{function}/policy", "GetPolicy", (*Host).servePolicy},
	{"POST /2015-03-31/functions/{function}/policy", "AddPermission", (*Host).serveAddPermission},
	{"GET /2017-03-31/tags/{arn}", "ListTags", (*Host).serveTags},
	{"GET /2016-08-19/account-settings", "GetAccountSettings", (*Host).serveAccountSettings},
}

// An operationName is the name of an operation as a handler of a router. The router only matches
// requests.
type operationName string

func (operationName) ServeHTTP(http.ResponseWriter, *http.Request) {}

var names = func() *http.ServeMux {
	mux := http.NewServeMux()
	for _, operation := range operations {
		mux.Handle(operation.pattern, operationName(operation.name))
	}
	return mux
}()

// Operation returns the name of a request's operation, such as "Invoke". If the service has no such
// operation, it returns the method and path.
func Operation(r *http.Request, _ []byte) string {
	handler, _ := names.Handler(r)
	if name, ok := handler.(operationName); ok {
		return string(name)
	}
	return r.Method + " " + r.URL.Path
}

func (h *Host) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, operation := range operations {
		mux.HandleFunc(operation.pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := operation.serve(h, w, r); err != nil {
				writeError(w, err)
			}
		})
	}
	return mux
}

// ServeHTTP serves the API.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", newID())
	h.router.ServeHTTP(w, r)
}

func (h *Host) serveInvoke(w http.ResponseWriter, r *http.Request) error {
	f, err := h.requested(r)
	if err != nil {
		return err
	}
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return invalidParameter("the request body cannot be read: %v", err)
	}
	switch kind := r.Header.Get("X-Amz-Invocation-Type"); kind {
	case "", "RequestResponse":
		return h.serveAnswer(w, r, f, payload)
	case "Event":
		requestID, err := h.queue(f, payload)
		if err != nil {
			return err
		}
		w.Header().Set("X-Amzn-Requestid", requestID)
		w.WriteHeader(http.StatusAccepted)
		return nil
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return invalidParameter("the invocation type %q must be RequestResponse, Event or DryRun", kind)
	}
}

func (h *Host) serveAnswer(w http.ResponseWriter, r *http.Request, f *function, payload []byte) error {
	out := h.invoke(r.Context(), f, payload)
	if out.err != nil {
		return out.err
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Amzn-Requestid", out.requestID)
	header.Set("X-Amz-Executed-Version", version)
	if out.functionError != "" {
		header.Set("X-Amz-Function-Error", out.functionError)
	}
	if r.Header.Get("X-Amz-Log-Type") == "Tail" {
		header.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(f.journal.tail(out.requestID)))
	}
	_, _ = w.Write(out.answer)
	return nil
}

func (h *Host) serveFunction(w http.ResponseWriter, r *http.Request) error {
	d, configuration, err := h.configuration(r)
	if err != nil {
		return err
	}
	answer := map[string]any{
		"Configuration": configuration,
		"Code":          map[string]string{"RepositoryType": "S3", "Location": ""},
	}
	if len(d.config.Tags) > 0 {
		answer["Tags"] = d.config.Tags
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (h *Host) serveConfiguration(w http.ResponseWriter, r *http.Request) error {
	_, configuration, err := h.configuration(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, configuration)
	return nil
}

// configuration returns the current deployment and its FunctionConfiguration (API Reference), with
// the fields that the sandbox supports.
func (h *Host) configuration(r *http.Request) (*deployment, map[string]any, error) {
	f, err := h.requested(r)
	if err != nil {
		return nil, nil, err
	}
	h.mu.Lock()
	d, modified, revision := f.current, f.modified, f.revision
	h.mu.Unlock()
	if d == nil { // the function was removed at the same time
		return nil, nil, h.notFound(r.PathValue("function"), "")
	}
	c, architecture := d.config, d.executable.architecture
	if c.Handler != nil {
		architecture = hostArchitecture()
	}
	return d, map[string]any{
		"FunctionName":     c.Name,
		"FunctionArn":      d.arn,
		"Runtime":          "provided.al2023",
		"Role":             "arn:aws:iam::" + h.options.Account + ":role/" + c.Name,
		"Handler":          "bootstrap",
		"Architectures":    []string{architecture},
		"CodeSize":         d.executable.size,
		"CodeSha256":       d.executable.sum,
		"Timeout":          int(math.Ceil(c.Timeout.Seconds())),
		"MemorySize":       c.MemoryMB,
		"Environment":      map[string]any{"Variables": c.Environment},
		"LastModified":     modified.UTC().Format("2006-01-02T15:04:05.000+0000"),
		"Version":          version,
		"RevisionId":       revision,
		"State":            "Active",
		"LastUpdateStatus": "Successful",
		"PackageType":      "Zip",
		"TracingConfig":    map[string]string{"Mode": "PassThrough"},
		"EphemeralStorage": map[string]int{"Size": 512},
		"LoggingConfig":    map[string]string{"LogFormat": "Text", "LogGroup": logGroup(c.Name)},
	}, nil
}

func (h *Host) servePolicy(w http.ResponseWriter, r *http.Request) error {
	f, err := h.requested(r)
	if err != nil {
		return err
	}
	document, revision, err := h.policyOf(f)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]string{"Policy": string(document), "RevisionId": revision})
	return nil
}

func (h *Host) serveAddPermission(w http.ResponseWriter, r *http.Request) error {
	f, err := h.requested(r)
	if err != nil {
		return err
	}
	var p permission
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		return &Error{Status: http.StatusBadRequest, Code: "InvalidRequestContentException",
			Message: "Could not parse request body into json: " + err.Error()}
	}
	added, err := h.addPermission(f, p)
	if err != nil {
		return err
	}
	document, err := json.Marshal(added)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, map[string]string{"Statement": string(document)})
	return nil
}

func (h *Host) serveAccountSettings(w http.ResponseWriter, _ *http.Request) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var used int64
	for _, f := range h.functions {
		used += f.current.executable.size
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"AccountLimit": map[string]int64{
			"TotalCodeSize": totalCodeSize, "CodeSizeUnzipped": codeSizeUnzipped, "CodeSizeZipped": codeSizeZipped,
			"ConcurrentExecutions": int64(h.concurrency), "UnreservedConcurrentExecutions": int64(h.concurrency),
		},
		"AccountUsage": map[string]int64{"TotalCodeSize": used, "FunctionCount": int64(len(h.functions))},
	})
	return nil
}

// requested returns the function of a request.
func (h *Host) requested(r *http.Request) (*function, error) {
	return h.find(r.PathValue("function"), r.URL.Query().Get("Qualifier"))
}

func writeJSON(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

// writeError writes the exception to a header and its members to the body, as the service does. An
// error that is not an [Error] becomes a ServiceException.
func writeError(w http.ResponseWriter, err error) {
	var refused *Error
	if !errors.As(err, &refused) {
		refused = &Error{Status: http.StatusInternalServerError, Code: "ServiceException", Message: err.Error()}
	}
	body := map[string]string{"Type": "User", "message": refused.Message}
	if refused.Code == "ResourceNotFoundException" || refused.Code == "ServiceException" {
		body = map[string]string{"Type": "User", "Message": refused.Message} // these two use a capital letter
	}
	if refused.Status >= http.StatusInternalServerError {
		body["Type"] = "Service"
	}
	if refused.Reason != "" {
		body["Reason"] = refused.Reason
	}
	w.Header().Set("X-Amzn-Errortype", refused.Code)
	writeJSON(w, refused.Status, body)
}
