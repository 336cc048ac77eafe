package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
)

// This file is `stampede drain`.

// DrainCmd asks a node to drain and leave.
type DrainCmd struct {
	AdminFlags `embed:""`
}

// Run asks and returns at once; the node goes on by itself.
func (c *DrainCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	body, err := c.request(ctx, http.MethodPost, "/drain")
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	fmt.Fprintln(os.Stdout, "draining")
	return body.Close()
}
