package main

import (
	"context"
	"os"
	"time"

	"quilt-rotate/internal/demo"
)

type demoCommand struct {
	functionsOption
}

// How fast the story goes: requests take as long as on a good network, and people get a moment to read.
const (
	demoLatency = 30 * time.Millisecond
	demoBeat    = 500 * time.Millisecond
)

func (o *demoCommand) Run(ctx context.Context, c console) error {
	functions, err := o.find()
	if err != nil {
		return err
	}
	transcript := demo.NewTranscript(c.out)
	screen := demo.NewScreen(c.terminal, transcript, os.Environ())
	options := demo.Options{Functions: functions, Show: screen.Show, Printed: transcript.Text, Latency: demoLatency}
	if screen.Live() {
		options.Beat = demoBeat
	}
	err = demo.Run(ctx, options)
	screen.Close()
	return err
}
