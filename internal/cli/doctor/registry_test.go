package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/quilt"
)

// secureRegistry starts a registry with a certificate of a private authority, for example.com and
// 127.0.0.1.
func secureRegistry(t *testing.T, notAfter time.Time) (server *httptest.Server, bundle []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Private Authority"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		DNSNames: []string{"example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = io.WriteString(w, `{"data":{"me":null}}`)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestCertificateErrorsAreExplained(t *testing.T) {
	// The report names the problem of the certificate and what to do.
	for name, c := range map[string]struct {
		notAfter time.Time
		trusted  bool // with the CA bundle
		host     string
		status   Status
		detail   string
		fix      string
	}{
		"a private authority, with its bundle": {time.Now().AddDate(1, 0, 0), true, "127.0.0.1", OK,
			"TLS verified with the CA bundle", ""},
		"a private authority": {time.Now().AddDate(1, 0, 0), false, "127.0.0.1", Failed,
			"certificate signed by unknown authority", "--ca-bundle FILE"},
		"another name": {time.Now().AddDate(1, 0, 0), true, "localhost", Failed,
			"not localhost", "check the URL"},
		"a certificate that has expired": {time.Now().AddDate(0, 0, -1), true, "127.0.0.1", Failed, "expired",
			"replace the certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			server, bundle := secureRegistry(t, c.notAfter)
			options := quilt.Options{}
			if c.trusted {
				options.CABundle = bundle
			}
			r := &registry{examination: &examination{Options: Options{Client: options}},
				url: strings.Replace(server.URL, "127.0.0.1", c.host, 1), host: c.host}
			f := r.reach(t.Context())
			if f.status != c.status || !strings.Contains(f.detail, c.detail) || !strings.Contains(f.fix, c.fix) {
				t.Errorf("got %+v, want %s: %q with the fix %q", f, c.status, c.detail, c.fix)
			}
			if (r.down == "") != (c.status == OK) {
				t.Errorf("the registry is reported as down: %q", r.down)
			}
		})
	}
}
