// A plain receiver with the idea of the Go original, to be measured against: POST /upload goes into a temporary file by
// io.Copy, the job onto a channel in memory, the answer is 202. Nothing is synced, unless -fsync asks for one
// File.Sync before the answer.
//
// What it leaves out, each of which would cost it time: jobs that outlive the process, order, limits, tokens, checks
// of names and paths, a way to ask after a job, and the delivery. Its consumer takes the jobs off the channel and
// removes the files; with -keep it leaves them, as a queue does whose Incus is away.
//
// A ready line on standard error: listening ADDRESS.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

type job struct {
	container, path, file string
	size                  int64
}

var (
	listen  = flag.String("listen", "http://127.0.0.1:0", "unix:PATH or http://HOST:PORT")
	dir     = flag.String("dir", os.TempDir(), "where the files go")
	fsync   = flag.Bool("fsync", false, "sync each file before the answer")
	keep    = flag.Bool("keep", false, "leave the files of jobs taken off the channel")
	pending = make(chan job, 100000)
)

func main() {
	flag.Parse()
	listener, address, err := open(*listen)
	if err != nil {
		log.Fatal(err)
	}
	go consume()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		listener.Close()
	}()
	mux := http.NewServeMux()
	mux.HandleFunc("/upload", upload)
	fmt.Fprintf(os.Stderr, "listening %s\n", address)
	if err := http.Serve(listener, mux); !errors.Is(err, net.ErrClosed) {
		log.Fatal(err)
	}
}

func open(address string) (net.Listener, string, error) {
	if path := strings.TrimPrefix(address, "unix:"); path != address {
		listener, err := net.Listen("unix", path)
		return listener, address, err
	}
	listener, err := net.Listen("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		return nil, "", err
	}
	return listener, "http://" + listener.Addr().String(), nil
}

func consume() {
	for taken := range pending {
		if !*keep {
			os.Remove(taken.file)
		}
	}
}

func upload(answer http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodPost {
		http.Error(answer, "POST only", http.StatusMethodNotAllowed)
		return
	}
	container := request.Header.Get("X-Container-Name")
	path := request.Header.Get("X-File-Path")
	if container == "" || path == "" {
		http.Error(answer, "X-Container-Name and X-File-Path are needed", http.StatusBadRequest)
		return
	}
	file, size, err := receive(request.Body)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	pending <- job{container, path, file, size}
	answer.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(answer, "queued %s for %s\n", path, container)
}

func receive(body io.Reader) (string, int64, error) {
	file, err := os.CreateTemp(*dir, "upload-*")
	if err != nil {
		return "", 0, err
	}
	size, err := io.Copy(file, body)
	if err == nil && *fsync {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(file.Name())
		return "", 0, err
	}
	return file.Name(), size, nil
}
