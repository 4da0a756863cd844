package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/demo"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/terminal"
)

type invokeCommand struct {
	functionsOption
	Event string `arg:"" name:"eventfile" help:"File with the event as JSON: one of Secrets Manager's four steps, or a sweep. See the folder events."`
	Raw   bool   `help:"Show the function's whole log, with the lines of Lambda and of the metrics."`
}

func (o *invokeCommand) Run(ctx context.Context, c *terminal.Console) (err error) {
	functions, err := o.find()
	if err != nil {
		return err
	}
	payload, err := os.ReadFile(o.Event)
	if err != nil {
		return terminal.WithHint(fmt.Errorf("read the event: %w", err), eventFiles())
	}
	event, err := readEvent(payload)
	if err != nil {
		return terminal.WithHint(fmt.Errorf("read the event %s: %w", o.Event, err), eventFiles())
	}
	s, err := scene.Open(scene.Options{Functions: functions})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if payload, err = event.prepare(ctx, s, payload); err != nil {
		return terminal.WithHint(fmt.Errorf("prepare the sandbox for the event: %w", err),
			"compare the event with those in the folder events")
	}
	return o.invoke(ctx, s, event, payload, c.Out)
}

// eventFiles lists the event files of the checkout that the command runs in.
func eventFiles() string {
	files, err := filepath.Glob("events/*.json")
	if err != nil || len(files) == 0 {
		return "the folder events of the checkout has one file for each event"
	}
	return "there are:\n  " + strings.Join(files, "\n  ")
}

// invoke runs the function. It shows the versions of the secret before and after, the log and the
// answer.
func (o *invokeCommand) invoke(ctx context.Context, s *scene.Scene, e event, payload []byte, out io.Writer) error {
	if err := showVersions(out, s, e, "before"); err != nil {
		return err
	}
	earlier := len(s.Lambda.Logs(e.function))
	answer, functionError, err := s.Lambda.Invoke(ctx, e.function, payload)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "log of", e.function)
	for _, line := range s.Lambda.Logs(e.function)[earlier:] {
		if text, shown := readable(line.Text); o.Raw {
			fmt.Fprintln(out, " ", line.Text)
		} else if shown {
			fmt.Fprintln(out, " ", text)
		}
	}
	fmt.Fprintf(out, "answer\n  %s\n", answer)
	if err := showVersions(out, s, e, "after"); err != nil {
		return err
	}
	if functionError != "" {
		return fmt.Errorf("the function %s failed: %s", e.function, failure(answer))
	}
	return ctx.Err()
}

func showVersions(out io.Writer, s *scene.Scene, e event, when string) error {
	if e.secretName == "" {
		return nil
	}
	versions, err := s.Versions(e.secretName)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, demo.VersionsTable(when, versions))
	return err
}

// failure returns the type and the message of a function's error.
func failure(answer []byte) string {
	var document struct{ ErrorType, ErrorMessage string }
	if json.Unmarshal(answer, &document) != nil || document.ErrorMessage == "" {
		return string(answer)
	}
	return strings.TrimPrefix(document.ErrorType+": "+document.ErrorMessage, ": ")
}

// functionOf returns the function that the event is for, by the fields of the event.
func functionOf(fields map[string]json.RawMessage) (string, error) {
	_, isStep := fields["Step"]
	_, isSweep := fields["secretId"]
	switch {
	case isStep:
		return sandbox.RotateFunction, nil
	case isSweep:
		return sandbox.RevokeFunction, nil
	}
	return "", errors.New(`it has neither the field "Step" of a rotation nor the field "secretId" of a sweep`)
}
