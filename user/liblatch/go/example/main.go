// SPDX-License-Identifier: BSD-2-Clause

// Asks its own connection for its peer, ten times a second, one JSON object a line:
//
//	example serve|connect ADDR PORT [PEER]
//	example tell FD
//
// With PEER a connection is made to this peer, or not at all. "tell" asks a descriptor that it has got, once. Errors
// are numbers.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"latch"
)

func say(members map[string]any) {
	line, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// numberOf is null for no error.
func numberOf(err error) any {
	var errno syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.Is(err, latch.ErrUnavailable):
		return int(syscall.EOPNOTSUPP)
	case errors.As(err, &errno):
		return int(errno)
	}
	return err.Error()
}

func fail(err error) {
	say(map[string]any{"failed": numberOf(err)})
	os.Exit(1)
}

func ask(conn syscall.Conn) {
	state, stateErr := latch.StateOf(conn)
	peer, peerErr := latch.Peer(conn)
	end, endErr := latch.EndOf(conn)
	members := map[string]any{"state": "", "peer": peer, "end": "", "state_error": numberOf(stateErr),
		"peer_error": numberOf(peerErr), "end_error": numberOf(endErr)}
	if stateErr == nil {
		members["state"] = state.String()
	}
	if endErr == nil {
		members["end"] = end.String()
	}
	say(members)
}

// peers has one or none.
func wished(peers []string) func(network, address string, raw syscall.RawConn) error {
	if len(peers) == 0 {
		return nil
	}
	return latch.ExpectPeer(peers[0])
}

func accepted(address string, peers []string) *net.TCPConn {
	config := net.ListenConfig{Control: wished(peers)}
	// Before Go 1.21 no listener is an MPTCP socket.
	if plain, ok := any(&config).(interface{ SetMultipathTCP(bool) }); ok {
		plain.SetMultipathTCP(false)
	}
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		fail(err)
	}
	say(map[string]any{"listening": true})
	conn, err := listener.Accept()
	if err != nil {
		fail(err)
	}
	listener.Close()
	return conn.(*net.TCPConn)
}

func connected(address string, peers []string) *net.TCPConn {
	dialer := net.Dialer{Control: wished(peers)}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		fail(err)
	}
	for _, peer := range peers {
		if err := latch.Proven(conn.(*net.TCPConn), peer); err != nil {
			fail(err)
		}
	}
	return conn.(*net.TCPConn)
}

// use reads until the end of file or an error.
func use(conn *net.TCPConn) {
	buffer := make([]byte, 512)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: example serve|connect ADDR PORT [PEER] | tell FD")
	os.Exit(2)
}

func open(words []string) *net.TCPConn {
	address := net.JoinHostPort(words[1], words[2])
	switch words[0] {
	case "serve":
		return accepted(address, words[3:])
	case "connect":
		return connected(address, words[3:])
	}
	usage()
	return nil
}

func main() {
	words := os.Args[1:]
	if len(words) == 2 && words[0] == "tell" {
		fd, err := strconv.Atoi(words[1])
		if err != nil {
			usage()
		}
		ask(os.NewFile(uintptr(fd), "socket"))
		return
	}
	if len(words) < 3 || len(words) > 4 {
		usage()
	}
	conn := open(words)
	go use(conn)
	for {
		conn.Write([]byte("ask\n"))
		ask(conn)
		time.Sleep(100 * time.Millisecond)
	}
}
