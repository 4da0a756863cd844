package settings_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/settings"
)

func init() { hermetic.FixSeed() }

func TestRestartNamesServices(t *testing.T) {
	// Each service is returned once.
	api, worker := settings.Service{Cluster: "prod", Service: "api"}, settings.Service{Cluster: "prod_2",
		Service: "Worker-7"}
	for text, want := range map[string][]settings.Service{
		"":                             nil,
		" \t":                          nil,
		"prod/api":                     {api},
		"prod/api prod_2/Worker-7":     {api, worker},
		" prod_2/Worker-7\n prod/api ": {worker, api},
		"prod/api prod/api":            {api},
	} {
		got, err := settings.ParseRestart(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestRestartThatNamesNoServiceIsRefused(t *testing.T) {
	// In an emergency, a typing error must not leave a service out. The fault does not contain the
	// value.
	for _, text := range []string{
		"api", "/api", "prod/", "prod/api/1", "prod/api,prod/worker", "prod / api", "prod/api worker",
		"arn:aws:ecs:us-east-1:123456789012:service/prod/api",
		"prod/" + strings.Repeat("a", 256), "prod/ap.i", "prod/é", pasted, "prod/" + pasted, pasted +
			"/api", "prod/api " + pasted,
	} {
		got, err := settings.ParseRestart(text)
		if err == nil {
			t.Errorf("%q is read as %v", text, got)
			continue
		}
		if !strings.HasPrefix(err.Error(), "must be ") {
			t.Errorf("%q: the error does not say what it must be: %v", text, err)
		}
		checkQuotesNothing(t, settings.TagRestart, err)
	}
}

func TestFormatRestartRefusesServicesThatDoNotFit(t *testing.T) {
	// AWS would refuse such a tag, or it would be read as other services.
	service := settings.Service{Cluster: "production", Service: "api"}
	for name, test := range map[string]struct {
		services []settings.Service
		says     string
	}{
		"no name": {[]settings.Service{{Cluster: "prod"}}, "cluster/service"},
		"a slash": {[]settings.Service{{Cluster: "prod", Service: "a/b"}}, "cluster/service"},
		"a space": {[]settings.Service{{Cluster: "prod", Service: "a b/c"}}, "cluster/service"},
		"a key":   {[]settings.Service{{Cluster: "prod", Service: pasted}}, "cluster/service"},
		"too many": {[]settings.Service{service, service, service, service, service, service, service, service, service,
			service, service, service, service, service, service, service, service, service}, "256"},
	} {
		got, err := settings.FormatRestart(test.services)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: written as %q, %v", name, got, err)
			continue
		}
		checkQuotesNothing(t, settings.TagRestart, err)
	}
}

func TestParseRestartReadsWhatFormatRestartWrites(t *testing.T) {
	// The tag has only characters that AWS allows.
	allowed := regexp.MustCompile(`^[A-Za-z0-9 +\-=._:/@]*$`)
	name := rapid.StringMatching(`[A-Za-z0-9_-]{1,20}`)
	rapid.Check(t, func(t *rapid.T) {
		services := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) settings.Service {
			return settings.Service{Cluster: name.Draw(t, "cluster"), Service: name.Draw(t, "service")}
		}), 0, 6, rapid.ID[settings.Service]).Draw(t, "services")
		text, err := settings.FormatRestart(services)
		if err != nil || !allowed.MatchString(text) || len(text) > 256 {
			t.Fatalf("written as %q, %v", text, err)
		}
		got, err := settings.ParseRestart(text)
		if err != nil || len(got) != len(services) {
			t.Fatalf("%q is read as %v, %v", text, got, err)
		}
		for i := range got {
			if got[i] != services[i] {
				t.Fatalf("%q is read as %v, want %v", text, got, services)
			}
		}
	})
}
