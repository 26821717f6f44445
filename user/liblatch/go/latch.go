// SPDX-License-Identifier: BSD-2-Clause

// Package latch tells which authenticated peer is at the other end of a connection (RFC 5660), and has
// a connection made to this peer or not at all. The kernel answers; no library and no privilege is
// needed. latch(7) has the meaning of each answer.
//
//	dialer := net.Dialer{Control: latch.ExpectPeer("c.example")}
//	conn, err := dialer.Dial("tcp", "192.0.2.2:7000")
//	if err == nil {
//		err = latch.Proven(conn.(*net.TCPConn), "c.example")
//	}
//
// From Go 1.24 on listeners are MPTCP sockets, which latchd does not serve: with ExpectPeer as its
// Control such a ListenConfig fails with ErrUnavailable. Call its SetMultipathTCP(false) first.
package latch

import (
	"errors"
	"syscall"
	"unsafe"
)

// Of latch_sockopt.h.
const (
	solLatch      = 0x4C41
	optState      = 1
	optInfo       = 2
	optPeer       = 3
	optExpectPeer = 17
	textMax       = 512
	infoSize      = 208
	infoWhy       = 9
	infoFlags     = 16
	infoLatch     = 32
	whyEnded      = 64

	flagIndeterminate = 1 << 0
	flagAudit         = 1 << 1
	flagAborted       = 1 << 4
	flagUnproven      = 1 << 6
	flagPeerEnded     = 1 << 7
)

// ErrUnavailable: no latchd serves this socket, or not this kind of socket. Nothing is known, and
// nothing is wished.
var ErrUnavailable = errors.New("latch: no latchd serves this socket")

// ErrNoPeer: no latch proves a peer of this connection.
var ErrNoPeer = errors.New("latch: the connection has no proven peer")

// ErrOtherPeer: the connection has another peer.
var ErrOtherPeer = errors.New("latch: the connection has another peer")

// A State of a socket. Only Established proves a peer that the connection has now.
type State int

const (
	NotLatched State = iota
	Listener
	Larval
	Established
	Broken
	Closed
	Audited
	Unproven
)

func (s State) String() string {
	names := [...]string{"NotLatched", "Listener", "Larval", "Established", "Broken", "Closed", "Audited", "Unproven"}
	if s < 0 || int(s) >= len(names) {
		return "Other"
	}
	return names[s]
}

// An End of a connection: after an end of file, was it the peer's?
type End int

const (
	EndOpen     End = iota // the peer has not ended it
	EndOrderly             // the latched peer has ended it
	EndBroken              // the latch was broken or closed
	EndReset               // ended by a reset or a timeout
	EndUnproven            // no latch has proven a peer for the whole connection
)

func (e End) String() string {
	return [...]string{"Open", "Orderly", "Broken", "Reset", "Unproven"}[e]
}

func known(err error) error {
	// IPv6 sockets have the second one.
	if err == syscall.EOPNOTSUPP || err == syscall.ENOPROTOOPT {
		return ErrUnavailable
	}
	return err
}

func control(raw syscall.RawConn, call func(fd int) error) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = known(call(int(fd))) })
	if err != nil {
		return err
	}
	return failed
}

func ask(conn syscall.Conn, option int, size uint32) ([]byte, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	answer := make([]byte, size)
	err = control(raw, func(fd int) error {
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), solLatch, uintptr(option),
			uintptr(unsafe.Pointer(&answer[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer[:size], nil
}

// Integers are in host order.
func word(answer []byte, at int) uint32 {
	return *(*uint32)(unsafe.Pointer(&answer[at]))
}

// StateOf asks for the state of a connection or listener: a *net.TCPConn, *net.UDPConn,
// *net.TCPListener.
func StateOf(conn syscall.Conn) (State, error) {
	answer, err := ask(conn, optState, 4)
	if err != nil {
		return NotLatched, err
	}
	return State(int32(word(answer, 0))), nil
}

// Peer is the identity of the peer, which the peer has chosen: compare all of it, and escape it before
// it is shown. The error is syscall.ENODATA if no latch has proven one. A connection that broke or ended has
// one, too: StateOf says so.
func Peer(conn syscall.Conn) (string, error) {
	answer, err := ask(conn, optPeer, textMax)
	return string(answer), err
}

// Proven is nil if the connection is Established, and its peer is this one.
func Proven(conn syscall.Conn, peer string) error {
	text, err := Peer(conn)
	if err == syscall.ENODATA {
		return ErrNoPeer
	}
	if err != nil {
		return err
	}
	state, err := StateOf(conn)
	if err != nil {
		return err
	}
	if state != Established {
		return ErrNoPeer
	}
	if text != peer {
		return ErrOtherPeer
	}
	return nil
}

// ExpectPeer is the Control of a net.Dialer or net.ListenConfig whose connections have this peer, or
// are not made. Check a new connection by Proven: `latchctl purge` ends wishes. With an empty peer, which
// would take the wish back, the Control fails with syscall.EINVAL.
func ExpectPeer(peer string) func(network, address string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		if peer == "" {
			return syscall.EINVAL
		}
		return control(raw, func(fd int) error {
			return syscall.SetsockoptString(fd, solLatch, optExpectPeer, peer)
		})
	}
}

// EndOf tells what an end of file is worth: call it when Read has returned io.EOF.
func EndOf(conn syscall.Conn) (End, error) {
	answer, err := ask(conn, optInfo, infoSize)
	if err != nil {
		return EndUnproven, err
	}
	state, flags := State(answer[8]), word(answer, infoFlags)
	switch {
	case state == Broken:
		return EndBroken, nil
	case flags&(flagAudit|flagUnproven) != 0:
		return EndUnproven, nil
	case state == Closed:
		return endOfClosed(answer, flags), nil
	case state != Established:
		return EndUnproven, nil
	case flags&flagPeerEnded != 0:
		return EndOrderly, nil
	}
	return EndOpen, nil
}

func endOfClosed(answer []byte, flags uint32) End {
	switch {
	case answer[infoWhy] != whyEnded:
		return EndBroken
	case flags&flagAborted != 0:
		return EndReset
	case flags&flagIndeterminate != 0 || word(answer, infoLatch) == 0 && word(answer, infoLatch+4) == 0:
		return EndUnproven
	}
	return EndOrderly
}
