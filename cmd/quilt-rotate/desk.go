package main

import (
	"context"
	"sync"

	"quilt-rotate/internal/cloud"
	"quilt-rotate/internal/procedure"
	"quilt-rotate/internal/terminal"
)

// openDesk gives a procedure what it works with. confirmed says that questions are answered with yes. The caller ends it before it prints a result.
func openDesk(ctx context.Context, c *terminal.Console, resultIsJSON, confirmed bool) (*procedure.Desk, func(), error) {
	aws, err := cloud.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	progress := c.Progress(resultIsJSON)
	confirm := func(ctx context.Context, what, word string) error {
		progress.Doing("") // it would draw over the question
		return c.Confirm(ctx, what, word)
	}
	if confirmed {
		confirm = func(context.Context, string, string) error { return nil }
	}
	return &procedure.Desk{Cloud: aws, Tell: progress, Confirm: confirm}, sync.OnceFunc(progress.Close), nil
}
