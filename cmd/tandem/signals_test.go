package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"tandem/cmd/tandem/node"
	"tandem/configs"
)

// A switch that is being built, for the first time or anew, has heard the signal that came meanwhile, also where others in this
// process hear it too.
func TestSignalWhileBuilding(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			heard := hear()
			defer heard.stop()
			d, err := configs.Demo(configs.DemoOptions{Host: "127.0.0.1", HTTP: "off", StateDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(os.Getpid(), sig); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil { // asks for a reload, which crowds nothing out
				t.Fatal(err)
			}
			limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			for len(heard.ends) == 0 && limit.Err() == nil {
				<-time.After(time.Millisecond)
			}
			opts := node.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
			if err := serve(limit, d.Config, opts, heard, func(*node.Node) {}); err != nil || limit.Err() != nil {
				t.Fatalf("%v: it goes on until it is told again (%v)", err, limit.Err())
			}
		})
	}
}

// A witness ends by the signal that came before it was built.
func TestWitnessHearsBeforeItIsBuilt(t *testing.T) {
	heard := hear()
	defer heard.stop()
	heard.ends <- syscall.SIGINT
	ctx, stop := heard.until(context.Background())
	defer stop()
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on")
	}
}
