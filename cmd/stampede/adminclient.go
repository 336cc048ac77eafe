package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// This file asks a live node's admin API, for the commands that operators use.

// adminTimeout bounds one question to a node; streams have no bound.
const adminTimeout = 10 * time.Second

// AdminFlags say which node to ask.
type AdminFlags struct {
	Admin     string `help:"Admin address of the node." default:"127.0.0.1:9091" placeholder:"HOST:PORT"`
	TokenFile string `name:"admin-token-file" help:"File with the admin token." placeholder:"FILE" type:"path"`
}

// request sends one request and returns the answer's body; anything but a success is an error that says why.
func (f AdminFlags) request(ctx context.Context, method, path string) (io.ReadCloser, error) {
	base := f.Admin
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", f.Admin, err)
	}
	if f.TokenFile != "" {
		token, err := os.ReadFile(f.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("admin token: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("no node answers at %s: %w", f.Admin, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		defer func() { _ = response.Body.Close() }() // only read from
		return nil, answerError(response)
	}
	return response.Body, nil
}

func answerError(r *http.Response) error {
	var p struct {
		Message string `json:"message"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err == nil && json.Unmarshal(body, &p) == nil && p.Message != "" {
		return errors.New(p.Message)
	}
	return fmt.Errorf("the node answered %s", r.Status)
}

// get decodes the JSON answer to one question.
func (f AdminFlags) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	body, err := f.request(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // only read from
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("answer of %s%s: %w", f.Admin, path, err)
	}
	return nil
}

// localAddress is where a listener that may listen on all addresses is reached from this machine.
func localAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
