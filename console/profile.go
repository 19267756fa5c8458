package console

import (
	"net/http"
	"net/http/pprof"
)

// profiles lets `go tool pprof` see what the switch holds and does, as its owner on the admin socket and nobody else: a heap
// profile names what people called each other by.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // heap, allocs, goroutine, block, mutex
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
