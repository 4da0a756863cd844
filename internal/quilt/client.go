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

// Options configures a [Client]. The zero Options is suitable for production.
type Options struct {
	// CABundle has PEM certificates that are trusted in addition to the system's, for a registry
	// whose certificate was issued by a private authority. Verification cannot be switched off.
	CABundle []byte
	// UserAgent names this program in the registry's audit trail (quilt:
	// docs/advanced-features/good-practice.md). Default: quilt-rotate/<version>.
	UserAgent string
	// AttemptTimeout limits each attempt, from dialling to the end of the answer. Default:
	// [DefaultAttemptTimeout]. Attempts to create a key or to log in are limited by the caller's
	// context only.
	AttemptTimeout time.Duration
	// MaxAttempts is the largest number of attempts, including the first. Default:
	// [DefaultMaxAttempts].
	MaxAttempts int
	// RetryInterval is the first interval between attempts. Default: [DefaultRetryInterval].
	RetryInterval time.Duration
	// Transport replaces the network in tests.
	Transport http.RoundTripper
}

// Client connects to one registry. It keeps connections open, holds no credential, and is safe for
// concurrent use. The operations are methods of [Session].
type Client struct {
	base     string // without a trailing slash
	host     string
	http     *http.Client
	agent    string
	timeout  time.Duration
	attempts int
	interval time.Duration
}

// NewClient returns a client of the registry at registryURL, which must satisfy
// [settings.RegistryURL]. It opens no connection.
func NewClient(registryURL string, options Options) (*Client, error) {
	base, err := settings.RegistryURL(registryURL)
	if err != nil {
		return nil, fmt.Errorf("the registry URL %w", err)
	}
	return newClient(base, "", options)
}

// newClient returns a client that sends its requests below a path of an origin.
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

// Host returns the registry's host, with the port if the URL has one.
func (c *Client) Host() string { return c.host }

// URL returns the registry's URL in the form of [settings.RegistryURL].
func (c *Client) URL() string { return c.base }

// CodeURL returns the URL of the page that shows a code for [Client.LoginRefreshToken] to a user
// who logs in by single sign-on.
func (c *Client) CodeURL() string { return c.base + "/login" }

// newTransport returns a transport for HTTP/1.1 only, which is enough for one request at a time. An
// HTTP/1.1 transport never repeats a request by itself after it sent a byte of it, unless the
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
		// A failure within these two limits happens before the request is sent, so every request
		// may be repeated after it.
		DialContext:            (&net.Dialer{Timeout: DefaultAttemptTimeout}).DialContext,
		TLSHandshakeTimeout:    DefaultAttemptTimeout,
		TLSClientConfig:        config,
		Protocols:              protocols,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        30 * time.Second, // shorter than the timeouts of load balancers and NAT gateways
	}, nil
}

// checkRedirect follows a redirect of a GET to the same host. A GET of this package has no
// credential. Any other redirect is returned as the answer, which becomes an error.
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
