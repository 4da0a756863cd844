package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/telemetry"
)

var (
	now    = time.Date(2026, 11, 22, 18, 15, 0, 123_456_789, time.UTC)
	secret = &telemetry.Label{Name: "Secret", Value: "prod/pipeline"}
)

func emitted(emit func(*telemetry.Metrics)) string {
	var out bytes.Buffer
	emit(telemetry.NewMetrics(&out, "revoke", func() time.Time { return now }))
	return out.String()
}

// units are CloudWatch's (API reference, MetricDatum).
var units = func() []string {
	all := []string{"Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "None"}
	for _, size := range []string{"Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes", "Bits", "Kilobits",
		"Megabits", "Gigabits", "Terabits", "Count"} {
		all = append(all, size, size+"/Second")
	}
	return all
}()

var namespaceForm = regexp.MustCompile(`^[0-9A-Za-z._#/:-]{1,256}$`)

// checkEMF checks a line against CloudWatch's embedded metric format specification: CloudWatch
// drops what breaks it without a word.
func checkEMF(line string) error {
	var root map[string]any
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return err
	}
	meta, ok := root["_aws"].(map[string]any)
	if !ok {
		return errors.New("no _aws object")
	}
	stamp, ok := meta["Timestamp"].(json.Number)
	if !ok {
		return errors.New("no Timestamp number")
	}
	if ms, err := stamp.Int64(); err != nil || len(stamp) != 13 || ms < 0 {
		return fmt.Errorf("the Timestamp %s is not whole milliseconds of this age", stamp)
	}
	directives, ok := meta["CloudWatchMetrics"].([]any)
	if !ok || len(directives) == 0 {
		return errors.New("no CloudWatchMetrics")
	}
	for _, d := range directives {
		directive, ok := d.(map[string]any)
		if !ok {
			return errors.New("a directive is no object")
		}
		if err := checkDirective(root, directive); err != nil {
			return err
		}
	}
	return nil
}

func checkDirective(root, directive map[string]any) error {
	if namespace, _ := directive["Namespace"].(string); !namespaceForm.MatchString(namespace) {
		return fmt.Errorf("the Namespace %q is not allowed", namespace)
	}
	sets, ok := directive["Dimensions"].([]any)
	if !ok || len(sets) == 0 {
		return errors.New("no Dimensions")
	}
	for _, s := range sets {
		set, ok := s.([]any)
		if !ok || len(set) > 30 {
			return errors.New("a dimension set is no array of at most 30")
		}
		for _, name := range set {
			value, ok := root[fmt.Sprint(name)].(string)
			if !ok || value == "" || len(value) > 1024 {
				return fmt.Errorf("the dimension %v is no text of 1 to 1024 at the root", name)
			}
		}
	}
	metrics, ok := directive["Metrics"].([]any)
	if !ok || len(metrics) == 0 || len(metrics) > 100 {
		return errors.New("not 1 to 100 Metrics")
	}
	for _, m := range metrics {
		definition, _ := m.(map[string]any)
		name, _ := definition["Name"].(string)
		if unit, _ := definition["Unit"].(string); name == "" || !slices.Contains(units, unit) {
			return fmt.Errorf("the metric %q has the unit %q", name, unit)
		}
		if _, ok := root[name].(json.Number); !ok {
			return fmt.Errorf("the metric %q is no number at the root", name)
		}
	}
	return nil
}

func TestMetricsKeepTheEmbeddedFormat(t *testing.T) {
	// CloudWatch silently ignores a line that breaks the format. Then no alarm works.
	for name, line := range map[string]string{
		"one": emitted(func(m *telemetry.Metrics) {
			m.Emit(nil, nil, telemetry.Sample{Name: "Sweeps", Unit: telemetry.Count, Value: 1})
		}),
		"of a secret": emitted(func(m *telemetry.Metrics) {
			m.Emit(secret, nil, telemetry.Sample{Name: "Sweeps", Unit: telemetry.Count, Value: 1})
		}),
		"with properties": emitted(func(m *telemetry.Metrics) {
			m.Emit(secret, []telemetry.Label{{Name: "KeyId", Value: "k"}}, telemetry.Sample{Name: "Sweeps",
				Unit: telemetry.Count, Value: 1})
		}),
		"all units": emitted(func(m *telemetry.Metrics) {
			m.Emit(secret, nil, telemetry.Sample{Name: "A", Unit: telemetry.Count, Value: 0},
				telemetry.Sample{Name: "B", Unit: telemetry.Milliseconds, Value: 0.5},
				telemetry.Sample{Name: "C", Unit: telemetry.Seconds, Value: 1e21}, telemetry.Sample{Name: "D",
					Unit: telemetry.None, Value: -1})
		}),
		"properties named as what matters": emitted(func(m *telemetry.Metrics) {
			m.Emit(secret, []telemetry.Label{{Name: "_aws"}, {Name: "Secret"}, {Name: telemetry.FunctionDimension},
				{Name: "Sweeps", Value: "many"}}, telemetry.Sample{Name: "Sweeps", Unit: telemetry.Count, Value: 1})
		}),
	} {
		if err := checkEMF(line); err != nil {
			t.Errorf("%s: %v in %s", name, err, line)
		}
	}
}

func TestMetricsAreWrittenAsOneLine(t *testing.T) {
	// Alarms and dashboards use these names. Each sample counts for the function and for its
	// secret.
	line := emitted(func(m *telemetry.Metrics) {
		m.Emit(secret, []telemetry.Label{{Name: "Step", Value: "createSecret"}},
			telemetry.Sample{Name: "KeysRevoked", Unit: telemetry.Count, Value: 2},
			telemetry.Sample{Name: "SweepDuration", Unit: telemetry.Milliseconds, Value: 12.5})
	})
	const want = `{"FunctionName":"revoke","KeysRevoked":2,"Secret":"prod/pipeline","Step":"createSecret","SweepDuration":12.5,` +
		`"_aws":{"CloudWatchMetrics":[{"Namespace":"QuiltRotate","Dimensions":[["FunctionName"],["FunctionName","Secret"]],` +
		`"Metrics":[{"Name":"KeysRevoked","Unit":"Count"},{"Name":"SweepDuration","Unit":"Milliseconds"}]}],"Timestamp":1795371300123}}` + "\n"
	if line != want {
		t.Errorf("wrote\n%s\nwant\n%s", line, want)
	}
}

func TestNilMetricsWriteNothing(t *testing.T) {
	// Tests and commands may have no metrics. The log must not have lines that CloudWatch cannot
	// read.
	sample := telemetry.Sample{Name: "Sweeps", Unit: telemetry.Count, Value: 1}
	var none *telemetry.Metrics
	none.Emit(secret, nil, sample)
	new(telemetry.Metrics).Emit(secret, nil, sample)
	for name, line := range map[string]string{
		"no sample": emitted(func(m *telemetry.Metrics) { m.Emit(secret, nil) }),
		"no number": emitted(func(m *telemetry.Metrics) {
			m.Emit(secret, nil, telemetry.Sample{Name: "A", Unit: telemetry.Count, Value: math.NaN()})
		}),
		"no end": emitted(func(m *telemetry.Metrics) {
			m.Emit(secret, nil, telemetry.Sample{Name: "A", Unit: telemetry.Count, Value: math.Inf(1)})
		}),
	} {
		if line != "" {
			t.Errorf("%s: wrote %s", name, line)
		}
	}
}

func TestTheFormatsCheckFindsWhatCloudWatchDrops(t *testing.T) {
	// The check in the tests above must find each broken rule.
	good := `{"F":"revoke","N":1,"_aws":{"Timestamp":1795371300123,"CloudWatchMetrics":[{"Namespace":"Q","Dimensions":[["F"]],"Metrics":[{"Name":"N","Unit":"Count"}]}]}}`
	if err := checkEMF(good); err != nil {
		t.Fatal(err)
	}
	broken := map[string][2]string{
		"no metadata":                {`"_aws"`, `"aws"`},
		"seconds":                    {`1795371300123`, `1795371300`},
		"a fraction":                 {`1795371300123`, `1795371300.1`},
		"a text":                     {`1795371300123`, `"1795371300123"`},
		"no namespace":               {`"Q"`, `""`},
		"no dimensions":              {`[["F"]]`, `[]`},
		"a dimension that is absent": {`[["F"]]`, `[["G"]]`},
		"a dimension that is blank":  {`"revoke"`, `""`},
		"a dimension of a number":    {`"F":"revoke"`, `"F":1`},
		"flat dimensions":            {`[["F"]]`, `["F"]`},
		"no metrics":                 {`[{"Name":"N","Unit":"Count"}]`, `[]`},
		"an unknown unit":            {`"Unit":"Count"`, `"Unit":"Counts"`},
		"a metric that is absent":    {`"N":1`, `"M":1`},
		"a metric that is a text":    {`"N":1`, `"N":"1"`},
	}
	for _, name := range slices.Sorted(maps.Keys(broken)) {
		line := strings.Replace(good, broken[name][0], broken[name][1], 1)
		if line == good || checkEMF(line) == nil {
			t.Errorf("%s is not found: %s", name, line)
		}
	}
}
