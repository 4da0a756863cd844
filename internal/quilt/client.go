package quilt

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"quilt-rotate/internal/cabundle"
	"quilt-rotate/internal/settings"
)

// Defaults of [Options].
const (
	DefaultAttemptTimeout = 10 * time.Second // as the registry's own integrations use for small requests
	DefaultMaxAttempts    = 4
	DefaultRetryInterval  = 200 * time.Millisecond
)

// Options of a [Client]. The zero Options is fit for production.
type Options struct {
	// CABundle is certificates in PEM that are trusted beside the system's, for a registry whose certificate comes from a
	// private authority. There is no way to trust any certificate.
	CABundle []byte
	// UserAgent names this program to the registry, which records it in the audit trail (quilt:
	// docs/advanced-features/good-practice.md). Default: quilt-rotate/<version>.
	UserAgent string
	// AttemptTimeout bounds each attempt, from dialling to the end of the answer. Default: [DefaultAttemptTimeout]. It
	// does not bound the attempts to create a key or to log in, which get all the time that the caller has.
	AttemptTimeout time.Duration
	// MaxAttempts bounds how often a request is sent, the first time counted. Default: [DefaultMaxAttempts].
	MaxAttempts int
	// RetryInterval is what the waits between attempts start from. Default: [DefaultRetryInterval].
	RetryInterval time.Duration
	// Transport replaces the network, in tests.
	Transport http.RoundTripper
}

// Client reaches one registry. It keeps connections and is safe for concurrent use; it holds no credential. What it can
// do is asked of a [Session].
type Client struct {
	base     string // without a trailing slash
	host     string
	http     *http.Client
	agent    string
	timeout  time.Duration
	attempts int
	interval time.Duration
}

// NewClient prepares a client for the registry at registryURL, which keeps the rule of [settings.RegistryURL]. It opens
// no connection.
func NewClient(registryURL string, options Options) (*Client, error) {
	base, err := settings.RegistryURL(registryURL)
	if err != nil {
		return nil, fmt.Errorf("the registry URL %w", err)
	}
	return newClient(base, "", options)
}

// newClient prepares a client for what is served below a path of an origin.
func newClient(origin, path string, options Options) (_ *Client, err error) {
	transport := options.Transport
	if transport == nil {
		if transport, err = newTransport(options.CABundle); err != nil {
			return nil, err
		}
	}
	c := &Client{
		base:     origin + path,
		host:     origin[strings.Index(origin, "://")+len("://"):],
		http:     &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		agent:    options.UserAgent,
		timeout:  options.AttemptTimeout,
		attempts: options.MaxAttempts,
		interval: options.RetryInterval,
	}
	if c.agent == "" {
		c.agent = "quilt-rotate/" + version()
	}
	if c.timeout <= 0 {
		c.timeout = DefaultAttemptTimeout
	}
	if c.attempts <= 0 {
		c.attempts = DefaultMaxAttempts
	}
	if c.interval <= 0 {
		c.interval = DefaultRetryInterval
	}
	return c, nil
}

// Host is the registry's host, with its port where the URL names one.
func (c *Client) Host() string { return c.host }

// URL is the registry's URL in the form of [settings.RegistryURL].
func (c *Client) URL() string { return c.base }

// CodeURL is the page at which a user who logs in by single sign-on is shown a code for [Client.LoginRefreshToken].
func (c *Client) CodeURL() string { return c.base + "/login" }

// newTransport speaks HTTP/1.1 only: one request at a time needs no more, and its rule for what the transport itself
// sends again is simple: nothing that had a byte on the wire, unless it is marked as repeatable.
func newTransport(bundle []byte) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if bundle != nil { // only then: loading the system's roots costs a cold start time
		certificates, err := cabundle.Parse(bundle)
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
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: DefaultAttemptTimeout}).DialContext, // nothing was sent yet, so that
		TLSHandshakeTimeout:    DefaultAttemptTimeout,                                     // any request can be sent again
		TLSClientConfig:        config,
		Protocols:              protocols,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        30 * time.Second, // well below what load balancers and NATs keep
	}, nil
}

// checkRedirect lets a GET (which carries no credential here) move within its own host. Everything else is not
// followed: the answer that redirects becomes an error.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	if first.Method == http.MethodGet && next.URL.Scheme == first.URL.Scheme && next.URL.Host == first.URL.Host && len(via) < 5 {
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
