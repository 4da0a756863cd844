package keyrotation

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A machine is a state machine, or the child workflow of a Map state.
type machine struct {
	StartAt         string
	States          map[string]state
	ProcessorConfig struct{ Mode, ExecutionType string }
}

// A state has the fields of the Amazon States Language that the definition uses.
type state struct {
	Type, Next, Default, Resource string
	End                           bool
	Choices                       []struct{ Next string }
	TimeoutSeconds                float64
	Parameters                    any
	ResultPath                    json.RawMessage
	ItemProcessor                 *machine
	MaxConcurrency                int
	ToleratedFailurePercentage    float64
	Retry                         []struct {
		ErrorEquals                  []string
		IntervalSeconds, BackoffRate float64
		MaxAttempts                  int
		MaxDelaySeconds              float64
		JitterStrategy               string
	}
	Catch []struct {
		ErrorEquals []string
		Next        string
	}
}

func sweepsMachine(t *testing.T) machine {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(sweepsDefinition))
	var m machine
	if err := decoder.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// each calls f for each state, with the machine that it is part of.
func (m machine) each(f func(name string, s state, of machine)) {
	for name, s := range m.States {
		f(name, s, m)
		if s.ItemProcessor != nil {
			s.ItemProcessor.each(f)
		}
	}
}

// next are the states that may follow, whatever happens.
func (s state) next() []string {
	all := []string{s.Next, s.Default}
	for _, choice := range s.Choices {
		all = append(all, choice.Next)
	}
	for _, catcher := range s.Catch {
		all = append(all, catcher.Next)
	}
	return slices.DeleteFunc(all, func(name string) bool { return name == "" })
}

func TestEveryStateOfTheSweepsIsReachedAndEnds(t *testing.T) {
	var check func(m machine)
	check = func(m machine) {
		reached, open := map[string]bool{}, []string{m.StartAt}
		for len(open) > 0 {
			name := open[0]
			open = open[1:]
			if reached[name] {
				continue
			}
			reached[name] = true
			s, exists := m.States[name]
			if !exists {
				t.Errorf("the state %s does not exist", name)
				continue
			}
			if ends := s.End || s.Type == "Succeed" || s.Type == "Fail"; ends == (len(s.next()) > 0) {
				t.Errorf("%s must have a next state or be an end", name)
			}
			open = append(open, s.next()...)
			if s.ItemProcessor != nil {
				check(*s.ItemProcessor)
			}
		}
		for name := range m.States {
			if !reached[name] {
				t.Errorf("no state leads to %s", name)
			}
		}
	}
	check(sweepsMachine(t))
}

// waits is how long the retries of a state wait in all, and attempts how often the task runs at
// most.
func (s state) waits() (waits time.Duration, attempts int) {
	attempts = 1
	for _, retrier := range s.Retry {
		interval := retrier.IntervalSeconds
		for range retrier.MaxAttempts {
			waits += time.Duration(interval * float64(time.Second))
			interval *= retrier.BackoffRate
		}
		attempts += retrier.MaxAttempts
	}
	return waits, attempts
}

func TestRetriesOfTheSweepsEndWithinFiveMinutes(t *testing.T) {
	sweepsMachine(t).each(func(name string, s state, _ machine) {
		if waits, _ := s.waits(); waits >= 5*time.Minute {
			t.Errorf("the retries of %s wait for %s", name, waits)
		}
		for _, retrier := range s.Retry {
			if retrier.JitterStrategy != "FULL" || retrier.MaxAttempts == 0 {
				t.Errorf("%s: sweeps that are throttled at once must not all retry at once", name)
			}
		}
	})
}

func TestAChildEndsWithinTheFiveMinutesOfAnExpressExecution(t *testing.T) {
	// Step Functions ends an EXPRESS execution after 5 minutes, without its Catch. Throttled
	// attempts take no time; others may take the whole timeout. The secrets of a batch are all
	// swept at the same time.
	batch := sweepsMachine(t).States["Sweep"].ItemProcessor.States["SweepBatch"]
	child := batch.ItemProcessor
	batches := fmt.Sprint(sweepsMachine(t).States["MakeBatches"].Parameters)
	if !strings.Contains(batches, fmt.Sprintf("States.ArrayPartition($.page, %d)", batch.MaxConcurrency)) {
		t.Errorf("a batch must have %d secrets, as many as are swept at the same time", batch.MaxConcurrency)
	}
	total := time.Duration(0)
	for name, s := range child.States {
		if s.Type != "Task" {
			continue
		}
		waits, attempts := s.waits()
		for _, retrier := range s.Retry {
			if slices.Equal(retrier.ErrorEquals, []string{"Lambda.TooManyRequestsException"}) {
				attempts -= retrier.MaxAttempts
			}
		}
		if s.TimeoutSeconds == 0 {
			t.Errorf("%s has no timeout", name)
		}
		total += waits + time.Duration(attempts)*time.Duration(s.TimeoutSeconds)*time.Second
	}
	if total >= 5*time.Minute {
		t.Errorf("a child takes up to %s", total)
	}
	if timeout := time.Duration(child.States["SweepSecret"].TimeoutSeconds) * time.Second; timeout <= revokeTimeout {
		t.Errorf("the state gives up after %s, before the function does after %s", timeout, revokeTimeout)
	}
}

func TestTasksOfTheSweepsRetryOnlyWhatIsNotTheirFault(t *testing.T) {
	// A sweep is not repeated because it failed: only because it did not run. Everything else is
	// caught in the child.
	const (
		throttled  = "Lambda.TooManyRequestsException"
		events     = "States.ALL"
		secrets    = "SecretsManager.SecretsManagerException"
		executions = "StepFunctions.ThrottlingException"
	)
	want := map[string]struct{ retries, catches string }{
		"NextStep":      {throttled, ""}, // the run fails if it cannot go on
		"SweepSecret":   {throttled, "Failed"},
		"PutEvent":      {events, "EventLost"},
		"Continue":      {executions, "Done"},
		"PutStopped":    {events, "Stopped"},
		"RemovePending": {secrets, "PutRefusal"},
		"RotateSecret":  {secrets, "PutRefusal"},
		"PutRefusal":    {events, "NotRotated"},
		"PutRotation":   {events, "RotationEventLost"},
	}
	tasks := 0
	sweepsMachine(t).each(func(name string, s state, of machine) {
		if s.Type != "Task" {
			return
		}
		tasks++
		w, known := want[name]
		if !known {
			t.Fatalf("the task %s is not in the table of this test", name)
		}
		if len(s.Retry) == 0 || !slices.Contains(s.Retry[0].ErrorEquals, w.retries) {
			t.Errorf("%s must retry after %s: %v", name, w.retries, s.Retry)
		}
		if w.catches == "" != (len(s.Catch) == 0) || w.catches != "" && s.Catch[0].Next != w.catches {
			t.Errorf("%s must catch errors and continue with %q: %v", name, w.catches, s.Catch)
		}
		if of.ProcessorConfig.Mode != "" && !slices.Equal(s.Catch[0].ErrorEquals, []string{"States.ALL"}) {
			t.Errorf("%s must catch every error, because an uncaught one ends all others", name)
		}
		for _, retrier := range s.Retry {
			ofFunction := func(e string) bool { return !strings.HasPrefix(e, "Lambda.") }
			if name == "SweepSecret" && slices.ContainsFunc(retrier.ErrorEquals, ofFunction) {
				t.Errorf("a sweep that failed must not be repeated: %v", retrier.ErrorEquals)
			}
		}
	})
	if tasks != len(want) {
		t.Errorf("there are %d tasks, and %d in the table of this test", tasks, len(want))
	}
	sweep := sweepsMachine(t).States["Sweep"]
	p := sweep.ItemProcessor.ProcessorConfig
	if p.Mode != "DISTRIBUTED" || p.ExecutionType != "EXPRESS" || sweep.ToleratedFailurePercentage != 100 {
		t.Errorf("the sweeps must run in EXPRESS children, and none may end the run: %+v", sweep)
	}
	if n := sweep.MaxConcurrency * sweep.ItemProcessor.States["SweepBatch"].MaxConcurrency; n != 20 {
		t.Errorf("%d secrets are swept at the same time", n)
	}
}

func TestStatesOfTheSweepsKeepNoMoreThanTheyNeed(t *testing.T) {
	// A payload has 256 KiB at most. A page of ARNs has 120 KB, and its results as much again: they
	// must never be in the output of the same state.
	sweepsMachine(t).each(func(name string, s state, _ machine) {
		path := string(s.ResultPath)
		if s.Type == "Task" && path == "" && name != "SweepSecret" {
			t.Errorf("%s: without ResultPath its output is the whole answer of the service", name)
		}
		allowed := []string{"null", `"$.page"`, `"$.answer.event"`, `"$.page.answer.rotations"`, `"$.rotations"`}
		if path != "" && !slices.Contains(allowed, path) {
			t.Errorf("%s keeps its result in %s beside what was there", name, path)
		}
	})
	for _, name := range []string{"NextStep", "Sweep"} {
		if path := string(sweepsMachine(t).States[name].ResultPath); path != `"$.page"` {
			t.Errorf("%s must replace the page by its result, and does not: %s", name, path)
		}
	}
}

func TestTheSweepsUseNoFixedPartitionAndNoJSONata(t *testing.T) {
	if arn := regexp.MustCompile(`arn:aws[^$]*?"`).FindString(sweepsDefinition); arn != "" {
		t.Errorf("%s is of one partition", arn)
	}
	if strings.Contains(sweepsDefinition, "JSONata") || strings.Contains(sweepsDefinition, "{%") {
		t.Error("the definition has JSONata")
	}
	known := []string{"${Partition}", "${RotateFunctionArn}", "${RevokeFunctionArn}"}
	for _, name := range regexp.MustCompile(`\$\{[A-Za-z]+\}`).FindAllString(sweepsDefinition, -1) {
		if !slices.Contains(known, name) {
			t.Errorf("nothing is substituted for %s", name)
		}
	}
}

func TestTheRunContinuesUnderANameThatFollowsFromItsOwn(t *testing.T) {
	// A repeated StartExecution with another name would start a second run.
	parameters := fmt.Sprint(sweepsMachine(t).States["Continue"].Parameters)
	for _, want := range []string{
		"Name.$:States.Format('after-{}', States.Hash($$.Execution.Name, 'SHA-256'))",
		"StateMachineArn.$:$$.StateMachine.Id", "state.$:$.page.answer.state",
	} {
		if !strings.Contains(parameters, want) {
			t.Errorf("the parameters are %s, and have no %s", parameters, want)
		}
	}
}
