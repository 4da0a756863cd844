package main

import (
	"context"
	"os"
	"time"

	"quilt-rotate/internal/sandbox/demo"
	"quilt-rotate/internal/terminal"
)

type demoCommand struct {
	functionsOption
}

const (
	demoLatency = 30 * time.Millisecond  // the time of each request, as on a fast network
	demoBeat    = 500 * time.Millisecond // the time after each line, so that a person can read it
)

func (o *demoCommand) Run(ctx context.Context, c *terminal.Console) error {
	functions, err := o.find()
	if err != nil {
		return err
	}
	transcript := demo.NewTranscript(c.Out)
	screen := demo.NewScreen(c.Terminal(), transcript, os.Environ())
	options := demo.Options{Functions: functions, Show: screen.Show, Printed: transcript.Text, Latency: demoLatency}
	if screen.Live() {
		options.Beat = demoBeat
	}
	err = demo.Run(ctx, options)
	screen.Close()
	return err
}
