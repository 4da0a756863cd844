package bench_test

import (
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/settings"
)

// systemRoots is where Debian and Amazon Linux keep the certificates of public authorities: about as many as Lambda has.
var systemRoots = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}

// BenchmarkPeakMemoryTLS is BenchmarkPeakMemory with both services behind TLS, and the machine's public authorities to look through, as on AWS. The
// smallest handler calls nobody, so it has none of that.
func BenchmarkPeakMemoryTLS(b *testing.B) {
	w := newWorld(b)
	var trusted []byte
	for _, path := range systemRoots {
		if roots, err := os.ReadFile(path); err == nil {
			trusted = roots
			break
		}
	}
	if trusted == nil {
		b.Skip("SKIPPED: the machine's public authorities are not found, so memory with TLS is NOT measured")
	}
	environment := map[string]string{}
	for name, plain := range map[string]string{"AWS_ENDPOINT_URL": w.AWSURL, settings.EnvRegistryURL: w.RegistryURL} {
		target, err := url.Parse(plain)
		if err != nil {
			b.Fatal(err)
		}
		front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
		b.Cleanup(front.Close)
		environment[name] = front.URL
		trusted = append(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})...)
	}
	roots := filepath.Join(b.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, trusted, 0o600); err != nil {
		b.Fatal(err)
	}
	maps.Copy(environment, map[string]string{"SSL_CERT_FILE": roots, "SSL_CERT_DIR": b.TempDir()})
	_, err := w.AddFunction(sandbox.RotateFunction, program(b, sandbox.RotateFunction), time.Minute, environment, func(c *awslambda.Config) {
		c.MemoryMB = deployedMemory
		c.OnReport = func(r awslambda.Report) { *w.last[sandbox.RotateFunction] = r }
	})
	if err != nil {
		b.Fatal(err)
	}
	measureMemory(b, w)
}
