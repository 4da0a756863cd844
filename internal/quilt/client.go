package quilt

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"quilt-rotate/internal/settings"
)

// Defaults of [Options].
const (
	DefaultAttemptTimeout = 10 * time.Second // as the registry's own integrations use for small requests
	DefaultMaxAttempts    = 4
	DefaultRetryInterval  = 200 * time.Millisecond
)

// Options of a [Client]. The zero Options is ready for production.
type Options struct {
	// CABundle holds certificates in PEM that are trusted in addition to the system's, for a
	// registry whose certificate comes from a private authority. Verification cannot be switched
	// off.
	CABundle []byte
	// UserAgent names this program in the registry's audit trail (quilt:
	// docs/advanced-features/good-practice.md). Default: quilt-rotate/<version>.
	UserAgent string
	// AttemptTimeout limits each attempt, from dialling to the end of the answer. Default:
	// [DefaultAttemptTimeout]. It does not limit the attempts to create a key or to log in, which
	// get all the time that the caller has.
	AttemptTimeout time.Duration
	// MaxAttempts is how often a request is sent at most, including the first time. Default:
	// [DefaultMaxAttempts].
	MaxAttempts int
	// RetryInterval is the first interval between attempts. Default: [DefaultRetryInterval].
	RetryInterval time.Duration
	// Transport replaces the network, in tests.
	Transport http.RoundTripper
}

// Client connects to one registry. It keeps connections, holds no credential, and is safe for
// concurrent use. Its [Session] has the operations.
type Client struct {
	base     string // without a trailing slash
	host     string
	http     *http.Client
	agent    string
	timeout  time.Duration
	attempts int
	interval time.Duration
}

// NewClient returns a client of the registry at registryURL, for which the rule of
// [settings.RegistryURL] holds. It opens no connection.
func NewClient(registryURL string, options Options) (*Client, error) {
	base, err := settings.RegistryURL(registryURL)
	if err != nil {
		return nil, fmt.Errorf("the registry URL %w", err)
	}
	return newClient(base, "", options)
}

// newClient returns a client of what is served below a path of an origin.
func newClient(origin, path string, options Options) (_ *Client, err error) {
	transport := options.Transport
	if transport == nil {
		if transport, err = newTransport(options.CABundle); err != nil {
			return nil, err
		}
	}
	return &Client{
		base:     origin + path,
		host:     origin[strings.Index(origin, "://")+len("://"):],
		http:     &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		agent:    cmp.Or(options.UserAgent, "quilt-rotate/"+version()),
		timeout:  cmp.Or(options.AttemptTimeout, DefaultAttemptTimeout),
		attempts: cmp.Or(options.MaxAttempts, DefaultMaxAttempts),
		interval: cmp.Or(options.RetryInterval, DefaultRetryInterval),
	}, nil
}

// Host is the registry's host, with the port if the URL names one.
func (c *Client) Host() string { return c.host }

// URL is the registry's URL in the form of [settings.RegistryURL].
func (c *Client) URL() string { return c.base }

// CodeURL is the page that shows a code for [Client.LoginRefreshToken] to a user who logs in by
// single sign-on.
func (c *Client) CodeURL() string { return c.base + "/login" }

// newTransport returns a transport for HTTP/1.1 only. One request at a time needs no more. And its
// rule for what it sends again by itself is simple: no request of which a byte was sent, unless the
// request is marked as repeatable.
func newTransport(bundle []byte) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if bundle != nil { // only then, because loading the system's roots takes time at a cold start
		certificates, err := settings.ParseCABundle(bundle)
		if err != nil {
			return nil, fmt.Errorf("the CA bundle cannot be used: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		for _, certificate := range certificates {
			roots.AddCert(certificate)
		}
		config.RootCAs = roots
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		// before anything is sent, so
		DialContext: (&net.Dialer{Timeout: DefaultAttemptTimeout}).DialContext,
		// any request can be repeated
		TLSHandshakeTimeout:    DefaultAttemptTimeout,
		TLSClientConfig:        config,
		Protocols:              protocols,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        30 * time.Second, // well below what load balancers and NATs keep
	}, nil
}

// checkRedirect follows the redirect of a GET, which has no credential here, within its host. Any
// other redirect is returned as the answer, which becomes an error.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	sameHost := next.URL.Scheme == first.URL.Scheme && next.URL.Host == first.URL.Host
	if first.Method == http.MethodGet && sameHost && len(via) < 5 {
		return nil
	}
	return http.ErrUseLastResponse
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
