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

// The pace of the demo: each request takes as long as on a good network, and a person has a moment
// to read.
const (
	demoLatency = 30 * time.Millisecond
	demoBeat    = 500 * time.Millisecond
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
