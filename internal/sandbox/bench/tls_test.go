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

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/settings"
)

// systemRoots are the files with the certificates of public authorities on Debian and Amazon Linux.
// Lambda has about the same number of certificates.
var systemRoots = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}

// BenchmarkPeakMemoryTLS is BenchmarkPeakMemory with both services behind TLS. As on AWS, the
// functions load the public authorities of the machine. The smallest handler sends no request, so
// it does not load them. The floor calls Secrets Manager. Another handler calls both services
// without the SDK.
func BenchmarkPeakMemoryTLS(b *testing.B) {
	for _, other := range []string{smallest, calling, floor} {
		b.Run("compared-with-"+other, func(b *testing.B) {
			w := newWorkbench(b)
			environment := w.behindTLS()
			w.deploy(sandbox.RotateFunction, environment)
			w.deploy(other, environment)
			measureMemory(b, w, other)
		})
	}
}

// behindTLS puts both services behind TLS. It returns the variables that a function needs to use
// them.
func (w *workbench) behindTLS() (environment map[string]string) {
	w.Helper()
	trusted := publicAuthorities(w.B)
	environment = map[string]string{}
	for name, plain := range map[string]string{"AWS_ENDPOINT_URL": w.AWSURL, settings.EnvRegistryURL: w.RegistryURL} {
		target, err := url.Parse(plain)
		if err != nil {
			w.Fatal(err)
		}
		front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
		w.Cleanup(front.Close)
		environment[name] = front.URL
		trusted = append(trusted,
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})...)
	}
	roots := filepath.Join(w.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, trusted, 0o600); err != nil {
		w.Fatal(err)
	}
	maps.Copy(environment, map[string]string{"SSL_CERT_FILE": roots, "SSL_CERT_DIR": w.TempDir()})
	return environment
}

// publicAuthorities returns the certificates of the machine.
func publicAuthorities(b *testing.B) (certificates []byte) {
	b.Helper()
	for _, path := range systemRoots {
		if certificates, err := os.ReadFile(path); err == nil {
			return certificates
		}
	}
	b.Skip("SKIPPED: TLS: a CA bundle of the system is not installed")
	return nil
}
